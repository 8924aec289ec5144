"""What happens around the loop: each file holds callbacks of one kind."""
