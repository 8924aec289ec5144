"""Metrics: the contract, those that most users of text need, and how a function of scikit-learn becomes one."""
