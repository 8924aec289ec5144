import torch

from ulmfit_easy.models.heads.pooling import masked_concat_pool


def test_what_stands_on_padding_changes_neither_value_nor_gradient():
    output = torch.randn(3, 5, 4, requires_grad=True)
    mask = torch.tensor([[0, 0, 0, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]]).bool()
    spoilt = output.detach().masked_fill(mask.unsqueeze(2), torch.nan)
    pooled = masked_concat_pool(output, mask)
    assert torch.equal(masked_concat_pool(spoilt, mask), pooled)
    pooled.square().sum().backward()
    assert output.grad.isfinite().all()
    assert output.grad[mask].eq(0).all()


def test_a_row_of_nothing_but_padding_gives_zeros():
    pooled = masked_concat_pool(torch.randn(2, 3, 4), torch.tensor([[True] * 3, [False] * 3]))
    assert pooled[0].eq(0).all() and pooled[1].ne(0).all()
