import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.models.heads.pooling import masked_concat_pool


def plain_pool(output, mask):
    """One row and one feature at a time."""
    rows = []
    for states, padded in zip(output, mask, strict=True):
        real = [state for state, pad in zip(states, padded, strict=True) if not pad]
        if not real:
            rows.append(torch.zeros(3 * output.shape[2], dtype=output.dtype))
            continue
        columns = list(zip(*[state.tolist() for state in real], strict=True))
        pooled = [c[-1] for c in columns] + [max(c) for c in columns] + [sum(c) / len(c) for c in columns]
        rows.append(torch.tensor(pooled, dtype=output.dtype))
    return torch.stack(rows)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32), st.floats(0, 1))
def test_pooling_equals_a_plain_reference_for_any_mask(B, T, E, seed, share):
    random = torch.Generator().manual_seed(seed)
    output = torch.randn(B, T, E, dtype=torch.float64, generator=random)
    mask = torch.rand(B, T, generator=random) < share
    words = torch.randn(B, T, E, dtype=torch.float64, generator=random)
    expected = plain_pool(output, mask)
    torch.testing.assert_close(masked_concat_pool(output, mask), expected, rtol=0, atol=1e-6)
    expected = torch.cat([expected, plain_pool(words, mask)[:, 2 * E:]], dim=1)
    torch.testing.assert_close(masked_concat_pool(output, mask, words), expected, rtol=0, atol=1e-6)


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
