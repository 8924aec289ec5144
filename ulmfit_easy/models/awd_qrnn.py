"""The AWD-QRNN encoder: the AWD-LSTM with quasi-recurrent layers, whose matrix products need no loop over time.

Source: Eisenschlos et al. 2019 (MultiFiT, arXiv 1909.04761). Sizes and dropouts as fastai shipped them.
"""

from ulmfit_easy.models.awd_lstm import AWDEncoder, awd_lstm_clas_config, awd_lstm_lm_config
from ulmfit_easy.models.qrnn import QRNN

awd_qrnn_lm_config = awd_lstm_lm_config | {"n_hid": 1552, "n_layers": 4}
awd_qrnn_clas_config = awd_lstm_clas_config | {"n_hid": 1552, "n_layers": 4}


class AWD_QRNN(AWDEncoder):
    """An AWD-LSTM with QRNN layers in place of LSTMs. The first layer reads pairs of tokens."""

    lm_config, clas_config = awd_qrnn_lm_config, awd_qrnn_clas_config
    gates = "layers.0.linear.weight_raw", 3

    def make_rnn(self, layer: int, n_in: int, n_out: int, weight_p: float) -> QRNN:
        return QRNN(n_in, n_out, weight_p, window=2 if layer == 0 else 1)
