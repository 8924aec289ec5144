import torch

from ulmfit_easy.models.remap import match_embeds, with_vectors

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
    weight = torch.randn(500, 12) * torch.rand(12) + 1  # (V, E)
    vectors, known = torch.randn(500, 3) + 5, torch.rand(500) < 0.9
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
