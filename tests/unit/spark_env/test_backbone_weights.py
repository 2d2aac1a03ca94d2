"""Weights: every form and every place they come from, and every way in which they can be wrong."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.backbones import networks, published
from darkroom.backbones.catalog import Backbone, resolve
from darkroom.backbones.published import Published
from darkroom.contract import ConfigError, WeightsFile
from darkroom.files.digests import digest_of
from tests.unit.spark_env.small_network import SIDE, Saved, saved_weights
from tests.unit.spark_env.web_server import serving

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FEATURES_FILE = "mobilenet_1_0_224_tf_no_top.h5"
WHOLE_FILE = "mobilenet_1_0_224_tf.h5"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return saved_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras' cache and ours are empty, and nothing leaves this machine."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    # Port 9 (discard) is closed: a refusal as quick as an unplugged machine's.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server: its address, its folder and the requests it got."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as (address, requests):
        yield address, folder, requests


def small(weights: Any = None, *, top: bool = False, name: str = "MobileNet") -> Backbone:
    backbone = resolve(name, {name: weights} if weights else None, top=top)
    return replace(backbone, height=SIDE, width=SIDE)


def arrays(model: Any) -> list[np.ndarray]:
    """Weights of the network inside a built backbone."""
    return [np.asarray(array) for array in model.get_weights()]


def refusal(weights: Any, **choices: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        small(weights, **choices).build()
    return str(caught.value)


@pytest.mark.parametrize("form", ["whole", "bare", "whole_legacy", "bare_legacy"])
def test_features_take_either_form_in_either_format(saved: Saved, form: str) -> None:
    built = arrays(small(str(getattr(saved, form))).build())
    wanted = saved.network.get_weights()[: len(built)]
    assert len(built) == 135
    for ours, theirs in zip(built, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", ["whole", "whole_legacy"])
def test_a_classifier_takes_the_whole_form(saved: Saved, form: str) -> None:
    built = arrays(small(str(getattr(saved, form)), top=True).build())
    for ours, theirs in zip(built, saved.network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_whole_saved_model_is_a_file_of_weights_too(saved: Saved, tmp_path: Path) -> None:
    file = tmp_path / "mine.keras"
    saved.network.save(file)
    assert len(arrays(small(str(file)).build())) == 135


def test_the_name_of_a_file_does_not_matter(saved: Saved, tmp_path: Path) -> None:
    for form in (saved.bare, saved.bare_legacy):
        file = tmp_path / "weights.bin"
        file.write_bytes(form.read_bytes())
        assert len(arrays(small(str(file)).build())) == 135


def test_a_classifier_needs_the_top(saved: Saved) -> None:
    assert refusal(str(saved.bare), top=True) == (
        f"features.weights.MobileNet = '{saved.bare}': it holds 135 arrays where MobileNet has "
        "137: give this architecture's weights"
    )


def test_weights_of_another_architecture_are_refused(saved: Saved) -> None:
    assert refusal(str(saved.whole), name="MobileNetV3Small") == (
        f"features.weights.MobileNetV3Small = '{saved.whole}': it holds 137 arrays where "
        "MobileNetV3Small has 206 or 210 (without or with its top): "
        "give this architecture's weights"
    )


@pytest.mark.parametrize("form", ["whole", "whole_legacy"])
def test_as_many_arrays_of_other_shapes_are_refused(
    saved: Saved, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MobileNet at half its width has as many arrays; so may two architectures."""
    import keras

    application = keras.applications.MobileNet

    def narrow(**options: Any) -> Any:
        return application(alpha=0.5, **options)

    monkeypatch.setattr(keras.applications, "MobileNet", narrow)
    message = refusal(str(getattr(saved, form)), top=True)
    assert "these are not the weights of MobileNet (" in message


@pytest.mark.parametrize("form", ["whole", "whole_legacy"])
def test_a_truncated_file_is_refused(saved: Saved, form: str, tmp_path: Path) -> None:
    whole = getattr(saved, form).read_bytes()
    file = tmp_path / "half.h5"
    file.write_bytes(whole[: len(whole) // 2])
    message = refusal(str(file))
    assert message.startswith(
        f"features.weights.MobileNet = '{file}': it is no file of weights, or is damaged ("
    )
    assert message.endswith("give an .h5, .weights.h5 or .keras file that Keras wrote")


def test_a_layer_missing_from_a_file_is_noticed(saved: Saved, tmp_path: Path) -> None:
    """An array too few and one too many elsewhere: the count is right, the content is not."""
    import h5py

    file = tmp_path / "moved.weights.h5"
    file.write_bytes(saved.bare.read_bytes())
    with h5py.File(file, "a") as content:
        content.move("layers/conv2d/vars/0", "layers/other/vars/0")
    assert "these are not the weights of MobileNet (" in refusal(str(file))


def test_a_missing_file_is_named_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("ResNet50", {"ResNet50": "nowhere.h5"})
    assert str(caught.value) == (
        "features.weights.ResNet50 = 'nowhere.h5': "
        "there is no such file: put it there or correct the path"
    )


def test_a_digest_is_checked(saved: Saved) -> None:
    digest = hashlib.sha256(saved.bare.read_bytes()).hexdigest()
    spec = {"uri": str(saved.bare), "sha256": digest.upper()}
    assert small(spec).weights_digest == digest
    with pytest.raises(ConfigError) as caught:
        small({**spec, "sha256": "0" * 64})
    assert str(caught.value) == (
        f"features.weights.MobileNet = '{saved.bare}': its SHA-256 is {digest} and not {'0' * 64}: "
        "the file is damaged or another one, replace it or correct the digest"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"uri": "a.h5", "sha": "0"}, "features.weights.MobileNet.sha = '0': there is no such"),
        ({"sha256": "0" * 64}, "features.weights.MobileNet.uri = None: this field is required"),
        ({"uri": " "}, "features.weights.MobileNet.uri = ' ': give a path or a URI"),
        ({"uri": "a.h5", "sha256": "abc"}, "features.weights.MobileNet.sha256 = 'abc': give 64 h"),
    ],
)
def test_an_unusable_entry_is_refused(spec: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        small(spec)
    assert str(caught.value).startswith(message)


def test_a_file_uri_is_a_path(saved: Saved) -> None:
    assert small(saved.bare.as_uri()).key == small(str(saved.bare)).key


def test_a_web_address_is_fetched_once(saved: Saved, served: tuple[str, Path, list[str]]) -> None:
    address, folder, requests = served
    (folder / "a.h5").write_bytes(saved.bare_legacy.read_bytes())
    spec = WeightsFile(uri=f"{address}/a.h5", sha256=digest_of(saved.bare_legacy))
    backbone = small(spec)
    # With a digest nothing is needed to know what it is.
    assert (backbone.weights_digest, requests) == (spec.sha256, [])
    assert len(arrays(backbone.build())) == 135
    assert len(arrays(small(spec).build())) == 135
    assert requests == ["GET /a.h5"]


@pytest.mark.parametrize(
    ("top", "file", "form"),
    [
        (False, FEATURES_FILE, "bare_legacy"),
        (True, WHOLE_FILE, "whole_legacy"),
        # A machine that has the classifier's needs no second file for the features.
        (False, WHOLE_FILE, "whole_legacy"),
    ],
)
def test_keras_cache_is_looked_into_first(
    saved: Saved, top: bool, file: str, form: str, tmp_path: Path
) -> None:
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    (models / file).write_bytes(getattr(saved, form).read_bytes())
    built = arrays(small(top=top).build())
    for ours, theirs in zip(built, saved.network.get_weights(), strict=False):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "top", "file"),
    [
        ("ResNet50", False, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("ResNet50", True, "resnet50_weights_tf_dim_ordering_tf_kernels.h5"),
        ("NASNetMobile", False, "nasnet_mobile_no_top.h5"),
    ],
)
def test_without_network_and_file_the_file_and_its_place_are_named(
    name: str, top: bool, file: str, tmp_path: Path
) -> None:
    message = refusal(None, name=name, top=top)
    assert message.startswith(
        f"features.weights.{name} = 'imagenet': this machine has no {file} and cannot download it ("
    )
    assert message.endswith(f"): put that file into {tmp_path / 'keras' / 'models'}")
    assert "//" not in message


def test_a_damaged_file_in_keras_cache_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "keras/models/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half")
    assert refusal(None, name="ResNet50") == (
        f"features.weights.ResNet50 = 'imagenet': {file} is damaged or not the file that Keras "
        "publishes (digest 4d473c1dd8becc155b73f8504c6f6626): replace it, or delete it to have it "
        "downloaded"
    )
    assert file.read_bytes() == b"half"


def test_keras_downloads_what_is_missing_once(
    served: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    address, folder, requests = served
    (folder / "w.h5").write_bytes(b"weights")
    wanted = Published("w.h5", f"{address}/w.h5", hashlib.md5(b"weights").hexdigest())
    for _ in range(2):
        assert published.cached(wanted, "weights", "imagenet").read_bytes() == b"weights"
    assert requests == ["HEAD /w.h5", "GET /w.h5"]
    assert [file.name for file in (tmp_path / "keras/models").iterdir()] == ["w.h5"]


def test_a_download_of_other_bytes_is_refused(
    served: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    address, folder, _ = served
    (folder / "w.h5").write_bytes(b"other")
    wanted = Published("w.h5", f"{address}/w.h5", hashlib.md5(b"weights").hexdigest())
    with pytest.raises(ConfigError, match="Incomplete or corrupted file detected"):
        published.cached(wanted, "weights", "imagenet")
    assert not list((tmp_path / "keras/models").iterdir())


def test_efficientnet_with_published_weights_is_what_keras_builds_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras adds a layer for ``weights="imagenet"`` alone; a file's path would not have it."""
    import keras

    application = keras.applications.EfficientNetB0
    shape = (32, 32, 3)
    keras.utils.set_random_seed(4)
    seeded = application(weights=None, include_top=False, input_shape=shape)
    layer = seeded.get_layer("normalization")
    moments = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]) ** [[1], [2]]
    layer.set_weights([*moments, np.array(0)])
    layer.finalize_state()
    file = tmp_path / "efficientnetb0_notop.h5"
    seeded.save(file)
    module = sys.modules[application.__module__]
    monkeypatch.setattr(module.file_utils, "get_file", lambda *_, **__: str(file))
    expected = application(weights="imagenet", include_top=False, input_shape=shape, pooling="avg")

    def build() -> Any:
        return networks.build_network("EfficientNetB0", 32, 32, pooling="avg", top=False, file=file)

    images = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    plain = build()(images)
    monkeypatch.setattr(networks, "_is_published", lambda name, file: True)
    ours = build()(images)
    np.testing.assert_allclose(ours, expected(images), rtol=1e-4, atol=1e-6)
    assert np.abs(plain - expected(images)).max() > 1e-3 * np.abs(ours).max()
