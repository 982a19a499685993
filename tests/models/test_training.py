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
import calibrate  # noqa: E402
import card  # noqa: E402
import deliver  # noqa: E402
import export  # noqa: E402
import figures  # noqa: E402
import foreign  # noqa: E402
import labels  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import network  # noqa: E402
import optimiser  # noqa: E402
import photos  # noqa: E402
import pictures  # noqa: E402
import recipe  # noqa: E402
import train  # noqa: E402
from PIL import Image  # noqa: E402

from cnntool.api.evaluation import Tally  # noqa: E402
from cnntool.nets.models.labels import REST  # noqa: E402
from cnntool.nets.models.manifest import read_manifest  # noqa: E402

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
    still = augment.Strength(turn=0, colour=0, grey=0, coarse=0, noise=0, erase=0, mix=0)
    views = augment.varied(pixels, 96, still)
    assert views.shape == (6, 3, 96, 96)
    torch.testing.assert_close(views, augment.normalised(pixels)[:, :, :96, :96], atol=1e-4, rtol=0)


def test_grey_views_have_three_equal_channels():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (4, 160, 160, 3), dtype=torch.uint8)
    views = augment.varied(pixels, 64, augment.Strength(grey=1, noise=0, erase=0))
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


def test_views_are_turned_about_their_centre():
    torch.manual_seed(0)
    pixels = torch.zeros(64, 160, 160, 3, dtype=torch.uint8)
    pixels[:, 60:100, 60:100] = 255
    strength = augment.Strength(
        area=1, aspect=1, turn=45, colour=0, grey=0, coarse=0, noise=0, erase=0, mix=0
    )
    views = augment.varied(pixels, 80, strength)[:, 0]
    centre = views[:, 38:42, 38:42].mean(dim=(1, 2))
    torch.testing.assert_close(centre, centre[:1].expand(64), atol=0.05, rtol=0)
    assert views.std(dim=0).max() > 0.3  # and the corners of the square are not where they were


def test_rates_rise_stay_and_fall():
    plan = recipe.Recipe(WIDTHS, (recipe.Stage(4, 64), recipe.Stage(6, 96)), warm_up=2, cool_down=4)
    assert [plan.rate(epoch, 0) for epoch in range(10)] == [
        0, 0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25,
    ]  # fmt: skip
    assert plan.rate(9, 1) == 0
    assert plan.rate(0, 0.5) == 0.25
    half = recipe.Recipe(WIDTHS, (recipe.Stage(6, 64),), warm_up=1, cool_down=4, last=0.5)
    assert [half.rate(epoch, 0) for epoch in range(7)] == [0, 1, 1, 0.875, 0.75, 0.625, 0.5]
    assert [plan.stage(epoch).size for epoch in (0, 3, 4, 9)] == [64, 64, 96, 96]


def folder_of_photos(folder):
    for label, level, suffix in (
        ("light", 240, "jpg"),
        ("other", 128, "webp"),
        ("dark", 10, "jpg"),
    ):
        (folder / label).mkdir(parents=True)
        Image.new("RGB", (160, 160), (level,) * 3).save(folder / label / f"a.{suffix}")


def test_photos_are_decoded_once_and_those_of_no_class_come_last(tmp_path):
    folder_of_photos(tmp_path / "set")
    first = photos.load(tmp_path / "set", tmp_path / "cache")
    (tmp_path / "set" / "light" / "a.jpg").write_bytes(b"no longer a picture")
    second = photos.load(tmp_path / "set", tmp_path / "cache")
    assert first.labels == ("dark", "light", "other")
    assert second.foreign == 2
    assert second.targets.tolist() == [0, 1, 2]
    assert second.pixels[0, :, 80, 80, 0].tolist() == pytest.approx([10, 240, 128], abs=2)


def test_a_second_version_is_the_photo_compressed_anew(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "other").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    for number in range(4):
        Image.fromarray(noise).save(tmp_path / "set" / "a" / f"{number}.jpg", quality=95)
    found = photos.load(tmp_path / "set", tmp_path / "cache", recoded=True)
    plain, recoded = found.pixels.astype(float)
    assert found.pixels.shape == (2, 4, 160, 160, 3)
    assert (np.abs(plain - recoded).mean(axis=(1, 2, 3)) > 2).all()
    half = photos.halved(found, tmp_path / "half")
    np.testing.assert_allclose(half.pixels[0, 0, 3, 5], plain[0, 6:8, 10:12].mean((0, 1)), atol=1)


def test_draws_are_as_even_as_asked_and_have_the_share_of_no_class():
    torch.manual_seed(0)
    targets = np.repeat([0, 1, 2], [100, 400, 50])
    given = photos.Photos(np.zeros((1, 550, 1, 1, 3), np.uint8), targets, ("a", "b", "other"))
    for evenness, ratio in ((0, 4), (0.5, 2), (1, 1)):
        stage = recipe.Stage(1, 64, foreign=0.15, evenness=evenness)
        drawn = train._drawn(stage, 0.05, given, np.arange(550))
        few, many, of_none = np.bincount(targets[drawn])
        assert len(drawn) == pytest.approx(550, abs=1)
        assert of_none == pytest.approx(110, rel=0.08)
        assert many / few == pytest.approx(ratio, rel=0.1)
        times = np.bincount(drawn)[targets == 1]
        assert times.max() - times.min() <= 1


def test_classes_of_many_photos_are_drawn_as_often_as_one_another():
    torch.manual_seed(0)
    targets = np.repeat([0, 1, 2, 3], [225, 1000, 1500, 50])
    labels = ("a", "b", "c", "other")
    given = photos.Photos(np.zeros((1, 2775, 1, 1, 3), np.uint8), targets, labels)
    drawn = train._drawn(recipe.Stage(1, 64, evenness=-0.5), 0.05, given, np.arange(2775))
    few, many, most, _ = np.bincount(targets[drawn])
    assert most == pytest.approx(many, rel=0.03)
    assert many / few == pytest.approx((recipe.LARGE / 225) ** 1.5, rel=0.15)


def test_a_blurred_view_is_as_smooth_as_scipy_makes_it():
    ndimage = pytest.importorskip("scipy.ndimage", reason="the Gaussian to compare with")
    torch.manual_seed(0)
    values = torch.rand(3, 3, 160, 160)
    found = augment._blurred(values)
    torch.manual_seed(0)
    torch.rand(3, 3, 160, 160)
    sigmas = torch.empty(3).uniform_(0.5, 2.2)
    for one, plain, sigma in zip(found, values, sigmas.tolist(), strict=True):
        expected = ndimage.gaussian_filter(plain.numpy(), (0, sigma, sigma), truncate=8)
        inside = np.s_[:, 10:-10, 10:-10]
        np.testing.assert_allclose(one.numpy()[inside], expected[inside], atol=1e-5)


def test_photos_of_no_class_stay_made_of_themselves():
    torch.manual_seed(1)
    levels = torch.arange(40, 200, 10, dtype=torch.uint8)
    pixels = levels[:, None, None, None].expand(-1, 160, 160, 3).contiguous()
    found = foreign.recombined(pixels)
    whole = [bool((one == level).all()) for one, level in zip(found, levels, strict=True)]
    assert 0 < sum(whole) < 16
    for row, one in enumerate(found):
        near = torch.stack([one.int() - levels[row], one.int() - levels[row - 1]]).abs()
        assert near.amin(dim=0).max() <= 1
    assert (pixels == levels[:, None, None, None]).all()


@pytest.mark.parametrize("seed", range(4))
def test_pictures_of_nothing_are_pictures_unlike_their_source(seed):
    torch.manual_seed(seed)
    pixels = torch.randint(0, 256, (1, 10, 10, 3), dtype=torch.uint8)
    pixels = pixels.repeat_interleave(8, 1).repeat_interleave(8, 2).expand(8, -1, -1, -1)
    made = foreign.made(pixels)
    assert (made.shape, made.dtype) == (pixels.shape, torch.uint8)
    apart = (made.float() - pixels.float()).abs().mean(dim=(1, 2, 3))
    assert (apart > 20).all()


def test_training_from_a_network_begins_where_it_was(trained):
    pictures = torch.randn(64, 3, 64, 64)
    layers = trained.folded()
    begun = network.MiniVgg(WIDTHS, 4, kept=2)
    begun.begin_with(layers, pictures)
    torch.testing.assert_close(begun.predictions.weight, trained.predictions.weight)
    torch.testing.assert_close(begun.predictions.bias, trained.predictions.bias)
    other = network.MiniVgg(WIDTHS, 7, kept=2)
    head = other.predictions.weight.clone()
    other.begin_with(layers, pictures)
    assert torch.equal(other.predictions.weight, head)
    begun.train()
    maps = {}
    for name, net in (("begun", begun), ("trained", trained)):
        x = pictures
        with torch.inference_mode():
            for layer in net.body.values():
                x = layer(x)
        maps[name] = x.mean(dim=(2, 3))
    for one, other in zip(maps["begun"].T, maps["trained"].T, strict=True):
        if other.std() > 1e-3:  # a norm leaves nothing but the scale of a channel open
            assert torch.corrcoef(torch.stack([one, other]))[0, 1] > 0.99
    learning = [name for name, weight in begun.named_parameters() if weight.requires_grad]
    assert not any("block1" in name or "block2" in name for name in learning)
    assert "body.block3_conv1.conv.weight" in learning


def test_the_mean_of_two_networks_is_that_of_each_weight():
    one, other = (
        {"a": (torch.full((2, 1), level), torch.full((2,), -level))} for level in (1.0, 5.0)
    )
    (weight, bias) = export.between(one, other, 0.25)["a"]
    assert weight.tolist() == [[2.0], [2.0]]
    assert bias.tolist() == [-2.0, -2.0]


def test_the_file_is_read_back_as_it_was_written(trained, tmp_path):
    layers = export.rounded(trained.folded())
    export.write(layers, tmp_path / "tiny.onnx")
    for name, (weight, bias) in export.read(tmp_path / "tiny.onnx").items():
        torch.testing.assert_close(weight, layers[name][0], atol=0, rtol=0)
        torch.testing.assert_close(bias, layers[name][1], atol=0, rtol=0)


def test_a_run_learns_stops_and_goes_on(tmp_path):
    folder_of_photos(tmp_path / "set")
    for label in ("light", "other", "dark"):
        (first,) = (tmp_path / "set" / label).iterdir()
        for number in range(9):
            (first.parent / f"{number}{first.suffix}").write_bytes(first.read_bytes())
    given = photos.load(tmp_path / "set", tmp_path / "cache")
    machine.prepare("cpu")
    short, whole = (
        recipe.Recipe(
            WIDTHS, (recipe.Stage(epochs, 32, augment.Strength(mix=1)),), batch=6, aside=0.2,
            warm_up=1, cool_down=1,
        )
        for epochs in (1, 2)
    )  # fmt: skip
    train.train(short, given, tmp_path / "run.pt", None)
    saved = torch.load(tmp_path / "run.pt", weights_only=True)
    assert saved["epoch"] == 1
    found = train.train(whole, given, tmp_path / "run.pt", None)
    assert torch.load(tmp_path / "run.pt", weights_only=True)["epoch"] == 2
    logits = train.answers(found, given, np.arange(4), 32)
    assert logits.shape == (4, 3)
    assert torch.isfinite(logits).all()


def test_favoured_classes_get_so_much_more(trained):
    pictures = torch.randn(3, 3, 64, 64)
    layers = trained.folded()
    plain, found = (
        export.probabilities(one, pictures).log()
        for one in (layers, calibrate.favoured(layers, [0, 2], 0.3))
    )
    shift = found - plain
    expected = torch.tensor([0.3, 0, 0.3]).expand(3, 3)
    torch.testing.assert_close(shift[:, :3] - shift[:, 3:], expected, atol=1e-5, rtol=0)


def test_what_is_delivered_describes_itself(tmp_path):
    for label, level in (("cat", 40), ("t_shirt", 200), ("other", 120)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(16):
            picture = Image.new("RGB", (160, 160), (level, 3 * number, 255 - level))
            picture.save(tmp_path / "set" / label / f"{number}.jpg")
    given = photos.load(tmp_path / "set", tmp_path / "cache")
    machine.prepare("cpu")
    torch.manual_seed(2)
    plan = recipe.Recipe(WIDTHS, (recipe.Stage(1, 64),), aside=0.5)
    net = network.MiniVgg(WIDTHS, 3).eval()
    model = tmp_path / "vgg16-mini.onnx"
    deliver.measured(model, deliver.exported(net.folded(), plan, given, model), plan, given)
    spec = read_manifest(model.with_suffix(".toml"))
    assert spec.labels.names == ("cat", "T-shirt", "something else")
    assert spec.labels.wordnet == ("n02121620", "n03595614", "")
    assert spec.size == model.stat().st_size
    assert spec.accuracy.photos == 32
    page = (tmp_path / "README.md").read_text()
    assert "32 photos of 2 classes" in page
    assert "| noise, deviation 20 of 255 |" in page
    for name in ("confusion-matrix.png", "first-layer-filters.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 50


def test_preprocessing_crops_the_centre_of_any_picture():
    picture = Image.new("RGB", (300, 100))
    picture.paste((255, 255, 255), (100, 0, 200, 100))
    values = measure.Preprocessing(50, 32).apply(picture)
    assert values.shape == (3, 32, 32)
    white = (1 - np.array(augment.MEAN)) / np.array(augment.DEVIATION)
    np.testing.assert_allclose(
        values, np.broadcast_to(white[:, None, None], values.shape), rtol=1e-5
    )


def test_figures_of_six_answers():
    found = np.array(
        [
            [0.7, 0.2, 0.1],
            [0.6, 0.3, 0.1],
            [0.1, 0.3, 0.6],  # a known one called something else
            [0.2, 0.7, 0.1],
            [0.1, 0.2, 0.7],
            [0.9, 0.05, 0.05],  # of no class, and not found
        ],
        dtype=np.float32,
    )
    targets = np.array([0, 0, 0, 1, 2, 2])
    got = figures.Figures.of(found, targets)
    assert got.top1 == pytest.approx((2 / 3 + 1) / 2)
    assert got.top5 == 1
    assert (got.found, got.mistaken) == (0.5, 0.25)
    assert got.area == pytest.approx(4 / 8)  # above all four; below all four
    assert measure.confusion(found, targets).tolist() == [[2, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_the_tool_counts_the_same_figures():
    random = np.random.default_rng(3)
    found = random.dirichlet(np.full(9, 0.5), 300).astype(np.float32)
    targets = random.integers(0, 9, 300)
    tally = Tally(9, rest=8)
    for truth, scores in zip(targets, found, strict=True):
        tally.add(int(truth), scores)
    got = figures.Figures.of(found, targets)
    assert tally.mean == pytest.approx((got.top1, got.top5))
    assert tally.rest == pytest.approx((got.found, got.mistaken, got.area))


def test_calibration_finds_the_temperature_and_keeps_to_what_may_be_mistaken():
    random = np.random.default_rng(5)
    logits = random.normal(0, 2, (4000, 5))
    odds = np.exp(logits)
    true = odds / odds.sum(axis=1, keepdims=True)
    targets = np.array([random.choice(5, p=row) for row in true])
    said = true**2.5 / (true**2.5).sum(axis=1, keepdims=True)  # too sure of itself
    setting = calibrate.calibrated(said, targets, mistaken=0.1)
    calm = setting.of(said)
    known = targets != 4
    assert np.mean(calm[known].argmax(axis=1) == 4) == pytest.approx(0.1, abs=0.005)
    before, _ = calibrate.calibration_error(said, targets)
    after, bins = calibrate.calibration_error(calm, targets)
    assert after < 0.4 * before
    assert sum(count for _, _, count in bins) == 4000


def test_the_calibration_is_in_the_file(trained, tmp_path):
    setting = calibrate.Calibration(0.7, 1.6)
    layers = trained.folded()
    pictures = torch.randn(3, 3, 64, 64)
    expected = setting.of(export.probabilities(layers, pictures).numpy())
    found = export.probabilities(setting.folded(layers), pictures).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_labels_are_those_of_the_folders():
    assert labels.name("garbage_truck") == "garbage truck"
    assert labels.name("other") == REST
    assert set(figures.EARLIER) <= {name.replace(" ", "_") for name in labels.WORDNET}


def test_classes_that_are_taken_for_each_other_are_neighbours():
    counts = np.diag([10, 10, 10, 10, 10])
    counts[0, 3] = counts[3, 1] = 4
    assert pictures.alike(counts) == [0, 3, 1, 2, 4]


def test_the_card_keeps_its_words_and_changes_its_tables(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{card.BEGIN}\nold\n{card.END}\nafter\n")
    shown = card.Card(
        figures.Figures(top1=0.75, top5=1, found=0.5, mistaken=0.25, area=0.9),
        None,
        np.array([[3, 1, 0], [0, 2, 0], [1, 0, 1]]),
        np.array([1, 1, 1.0]),
        ("cat", "dog", "something else"),
        0.034,
        [(0.62, 0.6, 5), (0.97, 0.95, 3)],
        {"grey": (0.5, 0.25)},
        6,
    )
    card.insert(page, card.tables(shown))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "6 photos of 2 classes, mean over the classes: top-1 **75.0 %**" in text
    assert "2 photos of none of them: **50.0 %**" in text
    assert "| cat | 4 | 75.0 % | 100.0 % | dog (1) |" in text
    assert "| dog | 2 | 100.0 % | 100.0 % | - |" in text
    assert "| something else | 2 | 50.0 % | 100.0 % | cat (1) |" in text
    assert "expected calibration error 3.4 %" in text
    assert "| 97.0 % | 95.0 % | 3 |" in text
    assert "| grey | 50.0 % | 25.0 % |" in text
