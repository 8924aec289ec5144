"""Batches to states and logits: AWD-LSTM, decoder and losses, pooling, classifier, sampling."""
