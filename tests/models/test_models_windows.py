"""Texts that are longer than an encoder's positions."""

import pytest
import torch

from ulmfit_easy.models.windows import head_and_tail, windows

LENGTHS, SHARED = torch.tensor([1, 16, 17, 40, 100, 16, 50]), torch.tensor([0, 0, 0, 0, 5, 9, 30])


def cut(stride=-1):
    return list(windows(LENGTHS, SHARED, 16, stride))


@pytest.mark.parametrize("stride", [-1, 0, 3, 7])
def test_each_token_counts_in_one_window(stride):
    seen = torch.zeros(len(LENGTHS), 100, dtype=torch.long)
    for rows, at, _, kept in cut(stride):
        row = rows.unsqueeze(1).expand_as(at)[kept]
        seen[row, at[kept]] += 1
    assert torch.equal(seen, (torch.arange(100) < LENGTHS.unsqueeze(1)).long())


def test_a_window_begins_with_what_is_shared_and_ends_with_padding():
    for rows, at, lengths, kept in cut():
        assert at.shape[1] <= 16 and kept.any(1).all()
        for row, places, n in zip(rows, at.tolist(), lengths, strict=True):
            begin = min(int(SHARED[row]), 8)
            assert places[:begin] == [*range(begin)] and int(n) > begin
            assert places[begin:] == [*range(places[begin], places[begin] + len(places) - begin)]
            assert all((place < LENGTHS[row]) == (i < n) for i, place in enumerate(places))


def test_tokens_of_long_pairs_see_context_on_both_sides():
    """A quarter of 16 overlaps: a token that counts has 2 others on each side of it, or the end of the text."""
    for _, at, lengths, kept in cut():
        for places, n, counts in zip(at.tolist(), lengths, kept, strict=True):
            inside = [i for i in range(5, int(n)) if counts[i]]
            if places[:5] == [0, 1, 2, 3, 4] and len(places) > 5 and places[5] > 5:
                assert inside[0] == 7
    assert len(cut()) == 1 + -(-(100 - 16) // (11 - 4))


def test_texts_of_one_field_are_cut_side_by_side():
    firsts = [at[rows.tolist().index(3), 0].item() for rows, at, *_ in cut() if 3 in rows.tolist()]
    assert firsts == [0, 16, 32]


def test_a_stride_is_what_neighbouring_windows_share():
    places = [at[rows.tolist().index(3)].tolist() for rows, at, *_ in cut(6) if 3 in rows.tolist()]
    assert [len({*one} & {*other}) for one, other in zip(places, places[1:], strict=False)] == [6] * 3


def test_head_and_tail_leave_out_the_middle_of_long_texts_only():
    ids, lengths = torch.arange(1000).expand(4, -1), torch.tensor([1000, 513, 512, 3])
    cut, n = head_and_tail(ids, lengths, 512)
    assert cut.shape == (4, 512) and n.tolist() == [512, 512, 512, 3]
    assert cut[0].tolist() == [*range(129), *range(1000 - 383, 1000)]  # [CLS] and 128, then 382 and [SEP]
    assert cut[1].tolist() == [*range(129), *range(130, 513)] and all(torch.equal(row, ids[0, :512]) for row in cut[2:])
    assert head_and_tail(ids[2:, :512], lengths[2:], 512)[0].shape == (2, 512)
