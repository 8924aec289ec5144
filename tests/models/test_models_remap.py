import torch

from ulmfit_easy.models.remap import match_embeds, with_vectors
from ulmfit_easy.text.vectors import WordVectors

OLD = ["xxunk", "xxpad", "film", "good"]
WEIGHT, BIAS = torch.arange(8.0).view(4, 2), torch.tensor([1.0, 2.0, 3.0, 6.0])


def test_shared_words_keep_their_row_and_new_words_get_the_mean():
    new = match_embeds(WEIGHT, BIAS, OLD, ["xxunk", "good", "sauna", "film", "kiosk"])
    assert new.weight.tolist() == [[0, 1], [6, 7], [3, 4], [4, 5], [3, 4]]
    assert new.bias.tolist() == [1, 6, 3, 3, 3]
    assert new.n_matched == 3


def test_the_same_vocabulary_moves_nothing_and_the_old_rows_stay_as_they_were():
    before = WEIGHT.clone()
    new = match_embeds(WEIGHT, BIAS, OLD, OLD)
    assert torch.equal(new.weight, WEIGHT) and torch.equal(new.bias, BIAS) and new.n_matched == 4
    new.weight.zero_()
    assert torch.equal(WEIGHT, before)


def test_fillers_of_one_name_keep_their_own_rows():
    old = ["xxunk", "film", "xxfake", "xxfake"]
    assert torch.equal(match_embeds(WEIGHT, BIAS, old, old).weight, WEIGHT)
    new = match_embeds(WEIGHT, BIAS, old, ["film", "xxfake", "xxfake", "xxfake"])
    assert new.weight.tolist() == [[2, 3], [4, 5], [6, 7], [3, 4]] and new.n_matched == 3


def test_an_encoder_without_decoder_bias_is_moved_too():
    assert match_embeds(WEIGHT, None, OLD, ["film"]).bias is None


def test_vectors_take_the_directions_of_least_variance_and_the_others_stay():
    torch.manual_seed(0)
    weight = (torch.randn(500, 12) * torch.rand(12) + 1).double()  # (V, E)
    vectors, known = torch.randn(500, 3).double() + 5, torch.rand(500) < 0.9
    out, own = with_vectors(weight, vectors, known, share=0.5), weight - weight.mean(0)
    directions = torch.linalg.svd(own)[2].T  # (E, E), the largest first
    most, least = directions[:, :9], directions[:, 9:]
    torch.testing.assert_close(out @ most, weight @ most)
    put = (out - weight.mean(0)) @ least  # (V, D)
    assert (put[~known].abs() < 1e-5).all()
    torch.testing.assert_close(put[known].square().sum(1).mean(), 0.5 * (own @ most).square().sum(1).mean())
    given = vectors[known] - vectors[known].mean(0)
    scale = put[known].norm() / given.norm()  # the vectors are turned and scaled, no more: their products stay
    torch.testing.assert_close(put[known] @ put[known].T, scale**2 * given @ given.T, atol=1e-4, rtol=1e-3)


def vectors_and_rows(n=200, n_dims=3, emb_sz=5, n_new=20):
    """Words with vectors, of which all but the last are known to a model whose rows are a linear map of them."""
    torch.manual_seed(0)
    words, vectors = [f"word{i}" for i in range(n)], torch.randn(n, n_dims)
    rows = vectors @ torch.randn(n_dims, emb_sz) + torch.randn(emb_sz)  # (n, E)
    return WordVectors({word: i for i, word in enumerate(words)}, vectors.numpy()), words[:-n_new], words[-n_new:], rows


def test_rows_of_new_words_are_guessed_by_the_map_from_vectors_to_rows():
    vectors, old, new, rows = vectors_and_rows()
    out = match_embeds(rows[:len(old)], None, old, ["word7", "unheard", *new], vectors)
    assert out.n_matched == 1 and out.guessed == set(new)
    assert torch.equal(out.weight[0], rows[7])
    torch.testing.assert_close(out.weight[1], rows[:len(old)].mean(0))
    torch.testing.assert_close(out.weight[2:], rows[len(old):], atol=1e-4, rtol=1e-4)


def test_a_known_word_keeps_its_row_whatever_its_vector_says():
    vectors, old, _, rows = vectors_and_rows()
    rows[7] += 9.0
    assert torch.equal(match_embeds(rows[:len(old)], None, old, ["word7"], vectors).weight[0], rows[7])


def test_nothing_is_guessed_where_less_than_half_of_the_known_words_have_a_vector():
    vectors, old, new, rows = vectors_and_rows()
    others = [f"wort{i}" for i in range(len(old) + 1)]
    weight = torch.cat([rows[:len(old)], torch.randn(len(others), 5)])
    assert match_embeds(weight, None, old + others, new, vectors).guessed == set()
    assert match_embeds(weight[:-1], None, old + others[:-1], new, vectors).guessed == set(new)


def test_nothing_is_guessed_from_too_few_known_words():
    vectors, old, new, rows = vectors_and_rows()
    out = match_embeds(rows[:39], None, old[:39], new, vectors)  # ten for each of 3 numbers and the constant
    assert out.guessed == set()
    torch.testing.assert_close(out.weight, rows[:39].mean(0).expand(len(new), -1))
