"""ULMFiT in a few lines. Notebook users: `from ulmfit_easy.all import *`."""
