"""The training code: where torch is installed."""

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="the export writes with onnx")
pytest.importorskip("onnxruntime", reason="the export is checked with onnxruntime")

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

import augment  # noqa: E402
import card  # noqa: E402
import export  # noqa: E402
import manifest  # noqa: E402
import measure  # noqa: E402
import network  # noqa: E402
import optimiser  # noqa: E402
import photos  # noqa: E402
import recipe  # noqa: E402
from PIL import Image  # noqa: E402

WIDTHS = (2, 3, 4, 5, 6)


@pytest.fixture
def trained():
    """A tiny network whose norms have statistics and offsets unlike those they start with."""
    torch.manual_seed(3)
    net = network.MiniVgg(WIDTHS, 4)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.bias)
    return net.eval()


def test_folding_and_the_order_of_pooling_leave_the_answer_alone(trained):
    pictures = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        expected = torch.softmax(trained(pictures), dim=1)
        found = export.probabilities(trained.folded(), pictures)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_the_exported_file_answers_as_pytorch_does(trained, tmp_path):
    layers = export.rounded(trained.folded())
    export.write(layers, tmp_path / "tiny.onnx")
    views = np.random.default_rng(1).normal(size=(2, 3, 40, 70)).astype(np.float32)
    assert export.difference(layers, tmp_path / "tiny.onnx", views) < 1e-5


def test_the_export_is_the_same_bytes_each_time(trained, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export.write(trained.folded(), tmp_path / name / "tiny.onnx")
    first, second = ((tmp_path / name / "tiny.onnx").read_bytes() for name in ("a", "b"))
    assert first == second


def test_muon_makes_singular_values_alike():
    matrix = torch.randn(8, 30) @ torch.diag(torch.logspace(-2, 0, 30))
    values = torch.linalg.svdvals(optimiser.orthogonalised(matrix))
    assert 0.5 < values.min() <= values.max() < 1.3


def test_muon_keeps_the_norm_and_goes_downhill():
    weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3))
    norm, target = weight.norm().item(), torch.randn(4, 3, 3, 3)
    muon = optimiser.Muon([weight], rate=0.05, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = -(weight * target).sum()
        muon.zero_grad()
        loss.backward()
        muon.step()
        losses.append(loss.item())
    assert weight.norm().item() == pytest.approx(norm, rel=1e-4)
    assert losses[-1] < losses[0] - 1


def test_the_average_of_a_network_at_rest_is_the_network():
    layer = torch.nn.Linear(2, 2)
    average = optimiser.Average(layer, 0.9)
    with torch.no_grad():
        layer.weight.fill_(5)
    for _ in range(400):
        average.update(layer)
    torch.testing.assert_close(average.state["weight"], torch.full((2, 2), 5.0))


def test_views_have_the_size_asked_for_and_are_normalised():
    torch.manual_seed(0)
    pixels = torch.full((6, 160, 160, 3), 255, dtype=torch.uint8)
    still = augment.Strength(colour=0, grey=0, coarse=0, erase=0, mix=0)
    views = augment.varied(pixels, 96, still)
    assert views.shape == (6, 3, 96, 96)
    torch.testing.assert_close(views, augment.normalised(pixels)[:, :, :96, :96], atol=1e-4, rtol=0)


def test_grey_views_have_three_equal_channels():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (4, 160, 160, 3), dtype=torch.uint8)
    views = augment.varied(pixels, 64, augment.Strength(grey=1, erase=0))
    raw = views * torch.tensor(augment.DEVIATION)[:, None, None]
    raw = raw + torch.tensor(augment.MEAN)[:, None, None]
    torch.testing.assert_close(raw[:, 0], raw[:, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(raw[:, 0], raw[:, 2], atol=1e-4, rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_mixing_reports_the_share_of_the_other_picture(seed):
    torch.manual_seed(seed)
    targets = torch.arange(5)
    views = targets[:, None, None, None].float().expand(5, 3, 16, 16)
    blend, others, share = augment.mixed(views, targets, 1.0)
    expected = (1 - share) * targets + share * others
    torch.testing.assert_close(blend.mean(dim=(1, 2, 3)), expected.float(), atol=1e-4, rtol=0)
    assert 0 <= share <= 0.57


def test_the_split_takes_the_share_of_each_class_and_is_fixed():
    targets = np.repeat([0, 1, 2], [50, 100, 200])
    rows, aside = photos.split(targets, share=0.1, seed=4)
    assert np.bincount(targets[aside]).tolist() == [5, 10, 20]
    assert sorted([*rows, *aside]) == list(range(350))
    assert photos.split(targets, share=0.1, seed=4)[1].tolist() == aside.tolist()
    assert photos.split(targets, share=0.1, seed=5)[1].tolist() != aside.tolist()


def test_rates_rise_stay_and_fall():
    stages = (recipe.Stage(4, 64), recipe.Stage(6, 96, rate=0.5))
    plan = recipe.Recipe(WIDTHS, stages, warm_up=2, cool_down=4)
    assert [plan.rate(epoch, 0) for epoch in range(10)] == [
        0, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125,
    ]  # fmt: skip
    assert plan.rate(9, 1) == 0
    assert plan.rate(0, 0.5) == 0.25
    assert [plan.stage(epoch).size for epoch in (0, 3, 4, 9)] == [64, 64, 96, 96]


def test_photos_are_decoded_once(tmp_path):
    for label, level in (("dark", 10), ("light", 240)):
        (tmp_path / "set" / label).mkdir(parents=True)
        Image.new("RGB", (160, 160), (level,) * 3).save(tmp_path / "set" / label / "a.jpg")
    first = photos.load(tmp_path / "set", tmp_path / "cache")
    (tmp_path / "set" / "light" / "a.jpg").write_bytes(b"no longer a picture")
    second = photos.load(tmp_path / "set", tmp_path / "cache")
    assert first.labels == ("dark", "light")
    assert second.targets.tolist() == [0, 1]
    assert second.pixels[:, 80, 80, 0].tolist() == pytest.approx([10, 240], abs=2)


def test_preprocessing_crops_the_centre_of_any_picture():
    picture = Image.new("RGB", (300, 100))
    picture.paste((255, 255, 255), (100, 0, 200, 100))
    values = measure.Preprocessing(50, 32).apply(picture)
    assert values.shape == (3, 32, 32)
    white = (1 - np.array(augment.MEAN)) / np.array(augment.DEVIATION)
    np.testing.assert_allclose(
        values, np.broadcast_to(white[:, None, None], values.shape), rtol=1e-5
    )


def test_accuracy_and_confusion_of_three_answers():
    found = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.3, 0.6]], dtype=np.float32)
    targets = np.array([0, 1, 1])
    assert measure.top(found, targets, 1) == pytest.approx(1 / 3)
    assert measure.top(found, targets, 2) == 1
    assert measure.confusion(found, targets).tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]


def test_the_card_keeps_its_words_and_changes_its_tables(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{card.BEGIN}\nold\n{card.END}\nafter\n")
    counts = np.array([[3, 1], [0, 2]])
    result = manifest.Result(top1=5 / 6, top5=1, photos=6)
    card.insert(page, card.tables(result, counts, ("cat", "dog"), {"grey": (0.5, 0.25)}, 6))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "6 photos: top-1 **83.3 %**, top-5 **100.0 %**" in text
    assert "| cat | 4 | 75.0 % | dog (1) |" in text
    assert "| dog | 2 | 100.0 % | - |" in text
    assert "| grey | 50.0 % | 25.0 % |" in text
