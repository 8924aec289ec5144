"""What only a user of fastai looks for. Nothing in the library needs it."""
