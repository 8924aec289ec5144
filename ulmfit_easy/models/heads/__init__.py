"""What reads the states of an encoder, one file for each kind of head."""
