"""The experiments of the ULMFiT paper: their cells, their data, and the pages that show what came out."""
