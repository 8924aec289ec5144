"""The commands, one file each: a file with a `COMMAND` adds one."""
