"""Models: a network from Python, pictures in whatever form in, numbers and records out."""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, overload

from cnntool.api import arguments
from cnntool.api.records import Records
from cnntool.errors import CnntoolError, InputError, ModelError, UsageError
from cnntool.nets.models import BUILT_IN
from cnntool.nets.network import Network
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Unpack

    from numpy.typing import NDArray

    from cnntool.api.ablation import Ablation
    from cnntool.api.activations import LayerOutputs
    from cnntool.api.evaluation import Evaluation
    from cnntool.api.explain import Explanations
    from cnntool.api.feature_extraction import Features
    from cnntool.api.layers import LayerInfo, ModelSummary
    from cnntool.api.pictures import DrawingOptions, Figure, ImageLike
    from cnntool.api.profiling import Profile
    from cnntool.api.top_patches import Patch
    from cnntool.api.unit_trace import UnitTrace
    from cnntool.image.files import Item
    from cnntool.image.source import ImageInfo
    from cnntool.nets.inference.classify import Prediction, Scores
    from cnntool.nets.inference.image_output import Painting
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.preprocess import Prepared


class Model(Network):
    """A network; `load_model` opens one.

    It runs in a process of its own, which is started when it is first needed and ended when the
    model is closed: by `close`, as a context manager, or when it is forgotten. What was asked for
    last, classes and some layers, stays open in up to three processes. Several threads may use one
    model; they take turns. A copy that is sent to another process opens the file anew there.

    Attributes
    ----------
    name : str
        As given.
    notes : list of str
        What was found worth knowing so far: what names of layers mean, what is not known.
    placement : Placement
        Where it runs; asking for it opens it.
    """

    def _read(self, images: Any, prepare: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
        """Read pictures ahead on threads and make them ready; each comes with its name."""
        from cnntool.api.pictures import load
        from cnntool.threads import ordered_map

        def ready(image: ImageLike) -> tuple[str, Any]:
            picture = load(image)
            for note in picture.info.notes:
                self.note(f"{picture.name}: {note}")
            try:
                return picture.name, prepare(picture.values, picture.info)
            except InputError as error:
                error.source = error.source or picture.name
                raise

        return ordered_map(ready, images, usable_cpus())

    def _ranked(
        self,
        plan: InferredSpec,
        pictures: Iterator[tuple[str, NDArray[Any]]],
        *,
        batch: int,
        many: bool,
    ) -> Iterator[Scores]:
        """Score pictures that come with their names; what cannot be ranked is refused."""
        fed = ((picture, picture[1]) for picture in pictures)
        for (name, tensor), scores in self.scores(plan, fed, batch=batch, many=many):
            try:
                self.check(scores, plan, tensor)
            except ModelError as error:
                error.source = f"{name}: {error.source}"
                raise
            yield scores

    def _tensor(self, image: ImageLike, plan: InferredSpec) -> NDArray[Any]:
        from cnntool.nets.inference.preprocess import prepare

        ((_, tensor),) = self._read([image], partial(prepare, spec=plan.input))
        return tensor  # type: ignore[no-any-return]

    @property
    def assumed(self) -> tuple[str, ...]:
        """What neither its manifest nor its graph tells and so had to be assumed."""
        return self.plan().assumed

    @overload
    def classify(self, image: ImageLike, *, top: int = 5) -> Records[Prediction]: ...
    @overload
    def classify(
        self,
        image: list[ImageLike] | tuple[ImageLike, ...],
        *,
        top: int = 5,
        batch: int = 1,
    ) -> list[Records[Prediction]]: ...
    def classify(
        self,
        image: ImageLike | list[ImageLike] | tuple[ImageLike, ...],
        *,
        top: int = 5,
        batch: int = 1,
    ) -> Records[Prediction] | list[Records[Prediction]]:
        """Say what is in a picture, or in each of several.

        Parameters
        ----------
        image : picture, or list of pictures
            See `cnntool.read_image`.
        top : int
            Classes to name.
        batch : int
            Pictures that go through the network at once.

        Returns
        -------
        Records of Prediction, or a list of them
            The likeliest classes, the likeliest first: ``index``, ``label``, ``wordnet``,
            ``probability`` (0..1) and ``logit`` (None where it is not known).

        Raises
        ------
        InputError
            A picture cannot be read.
        ModelError
            The network gives no class scores, or fails.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     best = net.classify("samples/cat.png", top=2)
        >>> best[0].label, best[0].probability > 0.5
        ('cat', True)
        """
        from cnntool.nets.inference.classify import top as best_of
        from cnntool.nets.inference.preprocess import prepare
        from cnntool.nets.models.manifest import CLASSES

        count = arguments.whole("top", top)
        batch = arguments.whole("batch", batch, most=4096)
        plan = self.plan(CLASSES)
        images = arguments.several(image)
        pictures = self._read(images, partial(prepare, spec=plan.input))
        with self.lock:
            found = [
                Records(best_of(scores, plan, count))
                for scores in self._ranked(plan, pictures, batch=batch, many=len(images) > 1)
            ]
        return found if images is image else found[0]

    def activations(
        self, image: ImageLike, *layers: str, everything: bool = False, at: str = "post"
    ) -> dict[str, NDArray[Any]]:
        """Compute what layers make of a picture.

        Parameters
        ----------
        image : picture
            See `cnntool.read_image`.
        *layers : str
            Names, such as ``"block4_conv2"``, ``"conv:9"`` or ``"#42"``, or patterns; see `layers`.
            Without any, all that have a name by their place in the network.
        everything : bool
            Whether to take every layer, and every operator that is part of none.
        at : {'post', 'pre'}
            A layer's result after the norm and activation that follow it, or before.

        Returns
        -------
        dict of str to ndarray of float32
            By the names as given, in the order of the network: maps (C, H, W), or a vector (n,).
            8-bit networks are dequantised. Where NaN or infinity comes from is in `notes`.

        Raises
        ------
        ModelError
            There is no such layer, or the network fails.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     maps = net.activations("samples/cat.png", "block1_*", "predictions")
        >>> {name: values.ndim for name, values in maps.items()}
        {'block1_conv1': 3, 'block1_conv2': 3, 'block1_pool': 3, 'predictions': 1}
        """
        outputs = self._outputs(layers, at, everything=everything)
        tensor = self._tensor(image, outputs.plan)
        with self.lock:
            ((_, tensors),) = ((key, list(made)) for key, made in outputs.stream([(0, tensor)]))
        return outputs.named(tensors, tensor.shape, tensor)

    def average(
        self,
        images: Sequence[ImageLike] | str | Path,
        *layers: str,
        everything: bool = False,
        at: str = "post",
    ) -> dict[str, NDArray[Any]]:
        """Average what layers make of several pictures.

        Parameters
        ----------
        images : list of pictures, or a folder
            See `cnntool.read_image`.
        *layers, everything, at
            See `activations`.

        Returns
        -------
        dict of str to ndarray of float32
            As `activations` returns it.

        Raises
        ------
        InputError
            There is no picture, or maps have different sizes.
        """
        from cnntool.image.files import files_of
        from cnntool.nets.inference.preprocess import prepare

        outputs = self._outputs(layers, at, everything=everything)
        files = files_of(images)
        pictures = self._read(files, partial(prepare, spec=outputs.plan.input))
        with self.lock:
            _, shape, means = outputs.average(pictures)
        return outputs.named(means, shape)

    def top_patches(
        self,
        images: Sequence[ImageLike] | str | Path,
        layer: str,
        *,
        at: str = "post",
        side: int = 64,
    ) -> Records[Patch]:
        """Find what excites each map of a layer most in several pictures.

        Parameters
        ----------
        images : list of pictures, or a folder
            See `cnntool.read_image`. They are read twice.
        layer : str
            A name.
        at : {'post', 'pre'}
            See `activations`.
        side : int
            Rows and columns of the pieces.

        Returns
        -------
        Records of Patch
            Map by map the places where it is largest, at most nine, one in each picture: ``map``,
            ``rank``, ``value``, ``name`` of the picture, ``box`` that the value sees of it as the
            network gets it (top, left, bottom, right) and ``pixels``, that piece.

        Raises
        ------
        InputError
            There is no picture.
        """
        from cnntool.api.activations import LayerOutputs, choose_layer
        from cnntool.api.top_patches import cut_patches, find_strongest
        from cnntool.image.files import files_of
        from cnntool.nets.inference.preprocess import prepare, seen

        name, at = arguments.text("layers", layer), arguments.one_of("at", at, ("post", "pre"))
        chosen = choose_layer(self, name, at=at)
        outputs = LayerOutputs(self, [chosen])
        entry, side = outputs.plan.input, arguments.whole("side", side, most=4096)
        files = files_of(images)
        pictures = self._read(files, partial(prepare, spec=entry))
        with self.lock:
            best = find_strongest(outputs, (made for _, made in pictures))
        if not best:
            raise InputError("no picture could be read")
        strongest = best[chosen.tensor]
        patches = strongest.patches(range(len(strongest.values)))
        needed = sorted({patch.picture for patch in patches})
        again = self._read([files[number] for number in needed], partial(seen, entry=entry))
        photos = ((number, *read) for number, read in zip(needed, again, strict=True))
        return Records(cut_patches(outputs, {chosen: patches}, photos, lambda _: side)[chosen])

    def page(
        self,
        image: ImageLike | list[ImageLike] | tuple[ImageLike, ...],
        *layers: str,
        everything: bool = False,
        at: str = "post",
        units: str | Sequence[str] = (),
        explain: str | None = None,
        patches: Sequence[ImageLike] | str | Path | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> bytes:
        """Write a page to walk through: what every layer makes of a picture, or of several.

        Parameters
        ----------
        image : picture, or list of pictures
            See `cnntool.read_image`; several stand side by side.
        *layers, everything, at
            See `activations`.
        units : str, or list of str
            Layers each of whose values the page takes apart: window, kernel, products, sum.
        explain : str, optional
            How to show what speaks for the likeliest classes, a method of `explain`, which takes
            about as long as the rest of the page.
        patches : list of pictures, or a folder, optional
            What excites each map most in these is shown beside it.
        **drawing
            How maps are drawn, see `figure`.

        Returns
        -------
        bytes
            One HTML file, at most 15 MB as a rule, that needs nothing else: where there is no room
            maps are smaller or fewer, and the page says so.

        Raises
        ------
        InputError
            A picture cannot be read.
        ModelError
            There is no such layer, or the network fails.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     page = net.page("samples/cat.png", "block1_conv1", units="block1_conv1")
        >>> page[:15]
        b'<!doctype html>'
        """
        from cnntool.api.page import PageWriter
        from cnntool.api.page_numbers import PatchNumbers
        from cnntool.api.pictures import drawing_of
        from cnntool.api.top_patches import find_strongest
        from cnntool.image.files import files_of
        from cnntool.nets.attribution.methods import METHODS
        from cnntool.nets.inference.preprocess import prepare, prepared, seen

        plan = self.plan()
        entry, taps = plan.input, plan.taps if plan.classifies else ()
        outputs = self._outputs(layers, at, everything=everything, extras=taps)
        writer = PageWriter(
            outputs,
            drawing_of(**drawing),
            units=[arguments.text("units", name) for name in arguments.several(units)],
            method=None if explain is None else arguments.one_of("explain", explain, METHODS),
        )

        def look(pixels: Any, info: ImageInfo) -> tuple[ImageInfo, Prepared]:
            return info, prepared(pixels, info, entry, photo=True)

        images = arguments.several(image)
        with self.lock:
            fed = ((one, one[1][1].tensor) for one in self._read(images, look))
            for (name, (info, made)), tensors in outputs.stream(fed):
                answer: dict[str, NDArray[Any]] = {}
                views = [
                    writer.view(outputs.output(*layer, made.shape), made.shape)
                    for layer in outputs.split(tensors, answer)
                ]
                writer.add(os.path.basename(name), info, made, views, answer)  # noqa: PTH119
            if patches is not None:
                among = files_of(patches)
                read = self._read(among, partial(prepare, spec=entry))
                best = find_strongest(outputs, (made for _, made in read))

                def photos(numbers: Sequence[int]) -> Iterator[tuple[int, str, NDArray[Any]]]:
                    wanted = self._read([among[n] for n in numbers], partial(seen, entry=entry))
                    for number, (name, photo) in zip(numbers, wanted, strict=True):
                        yield number, os.path.basename(name), photo  # noqa: PTH119

                if not best:
                    raise InputError("no picture could be read", source="`patches`")
                writer.patches = PatchNumbers(outputs, best, len(among), photos)
            return writer.html()

    def features(
        self,
        images: str | Path | Sequence[str | Path],
        layer: str | None = None,
        *,
        pool: str = "mean",
        recursive: bool = False,
        fail_fast: bool = True,
    ) -> Features:
        """Compute a vector for each of several pictures; see `cnntool.features`."""
        from cnntool.api.feature_extraction import POOLS, FeatureExtractor, collect, listed
        from cnntool.threads import ordered_map

        layer = None if layer is None else arguments.text("layer", layer)
        pool = arguments.one_of("pool", pool, POOLS)
        items = listed(images, recursive=arguments.flag("recursive", recursive))
        fail = arguments.flag("fail_fast", fail_fast)
        for error in (item.error for item in items if item.error and fail):
            raise error
        extractor = FeatureExtractor(self, layer, pool)
        plan = self.plan()

        def read(item: Item) -> tuple[Item, NDArray[Any] | CnntoolError]:
            try:
                return item, item.error or self._tensor(item.path or item.name, plan)
            except CnntoolError as error:
                return item, error

        with self.lock:
            found = ordered_map(read, items, usable_cpus())
            return collect(extractor, found, many=len(items) > 1, fail_fast=fail)

    def _outputs(
        self,
        layers: Sequence[str],
        at: str,
        *,
        everything: bool = False,
        extras: Sequence[str] = (),
    ) -> LayerOutputs:
        from cnntool.api.activations import LayerOutputs, choose_layers

        for name in layers:
            arguments.text("layers", name)
        at = arguments.one_of("at", at, ("post", "pre"))
        everything = arguments.flag("everything", everything)
        chosen = choose_layers(self.read_layers(), layers, self.note, everything=everything, at=at)
        return LayerOutputs(self, chosen, extras)

    def layers(self, *, everything: bool = False) -> Records[LayerInfo]:
        """List its layers.

        Parameters
        ----------
        everything : bool
            Whether to list the operators that are part of no layer, too, such as the Sqrt between
            two of them.

        Returns
        -------
        Records of LayerInfo
            In the order in which they run: ``alias`` (such as ``block4_conv2``), ``type``,
            ``shape`` and more. What is no layer has neither ``number`` nor ``type``.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     first = net.layers()[0]
        >>> first.alias, first.type, len(first.shape)
        ('block1_conv1', 'conv', 4)
        """
        from cnntool.api.layers import layer_info

        everything = arguments.flag("everything", everything)
        shapes = self.shapes(everything=everything)
        layers = self.read_layers()
        rows = layers.operators if everything else layers.rows
        return Records(layer_info(row, shapes.get(row.pre)) for row in rows)

    def summary(self, size: Sequence[int] = ()) -> ModelSummary:
        """Describe it layer by layer: shapes, parameters, multiply-adds, receptive fields.

        Parameters
        ----------
        size : sequence of int, optional
            Rows and columns of the picture, or the whole shape of what goes in.

        Returns
        -------
        ModelSummary
            ``layers``, a record each, and the sums ``parameters``, ``multiply_adds``, ``memory``.

        Raises
        ------
        ModelError
            It cannot be given an input of this size.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     net.summary().layers[0].receptive_field
        (3, 3)
        """
        from cnntool.api.layers import summarise

        return summarise(self, [arguments.whole("size", n) for n in size])

    def profile(
        self, image: ImageLike | None = None, *, size: Sequence[int] = (), runs: int | None = None
    ) -> Profile:
        """Measure how long each layer takes.

        The whole network is run, in turns with onnxruntime's profiler and without it, on this
        model's device and threads. What onnxruntime has fused into one kernel is one row, and what
        it inserted (conversions of types, of layouts) has rows of its own: the rows together are
        all that ran.

        Parameters
        ----------
        image : picture, optional
            See `cnntool.read_image`; by default the sample. A network that takes no picture is
            timed on noise.
        size : sequence of int, optional
            Rows and columns that the picture is stretched to, or the whole shape of what goes in.
        runs : int, optional
            How many runs to count, after three that are not; by default ten, and as many more as
            two seconds have room for.

        Returns
        -------
        Profile
            ``layers``, a record each (``milliseconds``, ``share``, ``gmacs``, ``moved``, ``fused``
            and more), their sum ``total`` beside ``bare``, a run without the profiler.

        Raises
        ------
        InputError
            The picture cannot be read.
        ModelError
            The network fails, or takes no picture and one was given.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     found = net.profile("samples/cat.png", runs=2)
        >>> found.layers[0].layer, found.layers[0].fused
        ('block1_conv1', ('relu:1',))
        """
        from cnntool.api.profiling import profile

        size = [arguments.whole("size", n) for n in size]
        if runs is not None:
            runs = arguments.whole("runs", runs, most=1000)
        return profile(self, image, size=size, runs=runs)

    def weights(self, layer: str) -> NDArray[Any]:
        """Return what a layer has learned.

        Parameters
        ----------
        layer : str
            A convolution or a dense layer.

        Returns
        -------
        ndarray of float32
            Kernels (O, I, kH, kW), or a matrix (O, I): output and input channels, rows, columns.

        Raises
        ------
        ModelError
            There is no such layer, or it has no weights.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     net.weights("block1_conv1").shape
        (16, 3, 3, 3)
        """
        return self.learned(self.layer(arguments.text("layer", layer), at="pre")).values

    def weights_figure(
        self, layer: str, *, slices: int = 16, **drawing: Unpack[DrawingOptions]
    ) -> Figure:
        """Draw what a layer has learned: kernels as tiles, those of the first layer in colour.

        Parameters
        ----------
        layer : str
            A convolution or a dense layer; of a large dense one the norm of each output's weights
            is drawn.
        slices : int
            Input channels that are shown of a deeper kernel: blue below 0, red above.
        **drawing
            How kernels are drawn, see `figure`.

        Raises
        ------
        ModelError
            There is no such layer, or it has no weights.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     net.weights_figure("block1_conv1")
        <Figure of 628 rows x 545 columns>
        """
        from cnntool.api.activations import title_of
        from cnntool.api.figures import weights_sheet
        from cnntool.api.pictures import Figure, drawing_of

        how = drawing_of(**drawing)
        found = self.layer(arguments.text("layer", layer), at="pre")
        return Figure(
            weights_sheet(
                title_of(found.post, found),
                self.learned(found),
                how,
                slices=arguments.whole("slices", slices),
                swap=self.colour_order()[0] == "BGR",
                source=self.name,
            )
        )

    def run(self, image: ImageLike, *, native: bool = False) -> Painting:
        """Make a picture of a picture: a style, an enlargement, a map of classes.

        Parameters
        ----------
        image : picture
            See `cnntool.read_image`.
        native : bool
            Whether to keep the size at which the network works.

        Returns
        -------
        Painting
            ``pixels``, (H, W, 1 or 3) of uint8; of a map of classes also ``classes``, (H, W).

        Raises
        ------
        ModelError
            The network makes no picture, or fails.
        """
        from cnntool.nets.inference.image_output import fit_for_picture
        from cnntool.nets.models.manifest import PICTURES

        native = arguments.flag("native", native)
        plan = self.plan(PICTURES)
        ((_, fitted),) = self._read([image], partial(fit_for_picture, spec=plan.input))
        return self.paint(plan, fitted, native=native)

    def figure(
        self,
        image: ImageLike,
        layer: str | None = None,
        *,
        at: str = "post",
        native: bool = False,
        **drawing: Unpack[DrawingOptions],
    ) -> Figure:
        """Draw a picture and what the network makes of it beside it, as for a slide.

        Parameters
        ----------
        image : picture
            See `cnntool.read_image`.
        layer : str, optional
            A name: its maps are drawn, or its values as bars. Without any, the picture that the
            network makes; of a map of classes on the photo, with a legend.
        at : {'post', 'pre'}
            See `activations`.
        native : bool
            See `run`.
        **drawing
            How maps are drawn: ``maps`` (which: ``"0-15"``, ``"3,7"``, ``"top:8"``), ``sort``
            (``"mean"``, ``"max"``, ``"sparsity"``), and ``style``, ``scale``, ``columns``,
            ``gap``, ``upscale`` as for `cnntool.contact_sheet`.

        Returns
        -------
        Figure
            ``save("slide.svg")`` writes it; in a notebook it shows itself.

        Raises
        ------
        UsageError
            There is no such map, or no such style.
        ModelError
            There is no such layer, or the network makes no picture.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     slide = net.figure("samples/cat.png", "block4_conv2", maps="top:8")
        >>> slide
        <Figure of 559 rows x 1219 columns>
        """
        from cnntool.api import figures
        from cnntool.api.activations import LayerOutputs, choose_layer
        from cnntool.api.pictures import Figure, drawing_of
        from cnntool.nets.inference.preprocess import prepared
        from cnntool.nets.models.manifest import PICTURES

        native, how = arguments.flag("native", native), drawing_of(**drawing)
        if layer is None:
            plan = self.plan(PICTURES)
            ready = partial(figures.fit_with_photo, spec=plan.input)
            ((name, (fitted, photo)),) = self._read([image], ready)
            painting = self.paint(plan, fitted, native=native)
            return figures.painting_figure(photo, os.path.basename(name), painting, plan)  # noqa: PTH119
        at = arguments.one_of("at", at, ("post", "pre"))
        chosen = choose_layer(self, arguments.text("layer", layer), at=at)
        outputs = LayerOutputs(self, [chosen])
        entry = outputs.plan.input
        ((name, made),) = self._read([image], partial(prepared, entry=entry, photo=True))
        with self.lock:
            ((_, tensors),) = ((key, list(of)) for key, of in outputs.stream([(0, made.tensor)]))
        found = outputs.output(chosen, tensors[0][1], made.shape)
        if not found.values.size:
            raise ModelError(f"{chosen.title!r} has no values to draw", source=self.name)
        name = os.path.basename(name)  # noqa: PTH119
        return Figure(figures.layer_sheet(outputs, found, how, made.photo, name, beside=True))

    def trace(self, image: ImageLike, layer: str, unit: Sequence[int] | int) -> UnitTrace:
        """Take one value of a layer apart: window, kernel, products and sum.

        Parameters
        ----------
        image : picture
            See `cnntool.read_image`.
        layer : str
            A convolution or a dense layer.
        unit : (int, int, int) or int
            Channel, row and column from 0; in a dense layer the number of the value.

        Returns
        -------
        UnitTrace
            Its text says what the value is made of; ``figure()`` draws it, ``record()`` has all
            numbers, ``agrees`` whether the network computed the same.

        Raises
        ------
        UsageError
            The layer has no such unit.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     found = net.trace("samples/cat.png", "block1_conv2", (3, 10, 20))
        >>> found.agrees, found.record()["channels"][:3]
        (True, [0, 1, 2])
        """
        from cnntool.api.unit_trace import UnitTracer
        from cnntool.nets.inference.preprocess import prepared

        place = tuple(
            arguments.whole("unit", number, least=0) for number in arguments.several(unit)
        )
        tracer = UnitTracer(self, arguments.text("layer", layer))
        ready = partial(prepared, entry=self.plan().input, photo=True)
        ((name, made),) = self._read([image], ready)
        return tracer.find(made, place, os.path.basename(name))  # noqa: PTH119

    def explain(
        self,
        image: ImageLike,
        *,
        method: str | Sequence[str] = "gradcam",
        target: str | int | Sequence[str | int] | None = None,
        layer: str | None = None,
        seed: int = 0,
        score: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Explanations:
        """Show what in a picture speaks for a class.

        Parameters
        ----------
        image : picture
            See `cnntool.read_image`.
        method : str or list of str
            ``"gradcam"``, ``"layercam"``, ``"saliency"``, ``"smoothgrad"``,
            ``"integrated-gradients"``, ``"occlusion"``, ``"rise"``.
        target : str, int, or list of them, optional
            Classes: a label, an index or a WordNet id, or ``"rank:2"`` for the second prediction;
            by default the first prediction.
        layer : str, optional
            The layer that gradcam and layercam look at; by default the last activation whose maps
            have more than one place.
        seed : int
            Of what methods draw at random; the same seed gives the same numbers.
        score : bool
            Whether to measure insertion and deletion, too.
        progress : callable, optional
            Is told of slow methods what is done: the method, how many pictures, and of how many.

        Returns
        -------
        Explanations
            A record for each class and method, class by class: ``method``, ``label``, ``index``,
            ``probability``, ``score`` (before softmax or sigmoid), ``layer``, ``map`` (H, W) of the
            picture's size, NaN where the network saw nothing, ``attribution`` (the same as
            computed), ``facts`` (steps, samples, masks), ``insertion`` and ``deletion``.
            ``figure(style="overlay")`` draws all of them; in a notebook they show themselves.

        Raises
        ------
        ModelError
            The network is no classifier, an operator has no gradient, or there is no such class or
            layer.

        Examples
        --------
        >>> with cnntool.load_model() as net:
        ...     found = net.explain("samples/cat.png")
        >>> found[0].label, found[0].layer, found[0].map.shape
        ('cat', 'block5_conv3', (300, 451))
        >>> figure = found.figure("side-by-side")
        """
        from cnntool.api.explain import Explainer, Explanations
        from cnntool.nets.attribution.methods import METHODS

        explainer = Explainer(
            self,
            [arguments.one_of("method", name, METHODS) for name in arguments.several(method)],
            [] if target is None else arguments.several(target),
            None if layer is None else arguments.text("layer", layer),
            seed=arguments.whole("seed", seed, least=0),
            score=arguments.flag("score", score),
            progress=progress,
        )
        ((_, ready),) = self._read([image], explainer.prepare)
        return Explanations(explainer.explain(ready))

    def evaluate(
        self, photos: str | Path, *, batch: int = 1, within: int | None = None
    ) -> Evaluation:
        """Measure how often it is right.

        Parameters
        ----------
        photos : path
            A folder with a folder for each class, named by its label, its index or its WordNet
            id; or a CSV with a picture and its class in each line.
        batch : int
            Pictures that go through the network at once.
        within : int, optional
            Take so many pictures at most, drawn evenly over the classes, always the same.

        Returns
        -------
        Evaluation
            ``total``, ``classes``, ``class_mean``, ``rest``, ``confusion`` and ``labels``.

        Raises
        ------
        InputError
            The folder, the table or a picture cannot be read.
        ModelError
            A class that the network does not have.
        """
        from cnntool.api.evaluation import evaluate
        from cnntool.nets.inference.preprocess import prepare
        from cnntool.nets.models.manifest import CLASSES

        batch = arguments.whole("batch", batch, most=4096)
        plan = self.plan(CLASSES)
        truths = self._truths(photos, plan, within)
        read = self._items(truths, partial(prepare, spec=plan.input))
        pictures = ((item.name, tensor) for item, tensor in read)
        scored = self._ranked(plan, pictures, batch=batch, many=True)
        with self.lock:
            found = evaluate(plan, truths, zip(truths, scored, strict=True), str(photos))
        if found is None:
            raise InputError("no picture could be read", source=str(photos))
        return found

    def ablate(
        self,
        photos: str | Path,
        without: str | Sequence[str],
        *,
        fill: str = "zero",
        each: bool = False,
        batch: int = 1,
        within: int | None = None,
    ) -> Ablation:
        """Measure how often it is right when maps of its layers are silenced.

        Parameters
        ----------
        photos : path
            See `evaluate`.
        without : str, or list of str
            Layers, each with or without numbers of maps in brackets: ``"block4_conv2"``,
            ``"block4_conv2[0,3,8-15]"``. Of a dense layer the numbers are those of its values, of a
            transformer's tokens those of the channels.
        fill : {'zero', 'mean'}
            What a silenced map holds in all its places: zero, or its mean over the pictures, which
            takes one pass more.
        each : bool
            Whether each of the maps is silenced for itself, not all of them together.
        batch : int
            Pictures that go at once through what lies before the layers.
        within : int, optional
            See `evaluate`.

        Returns
        -------
        Ablation
            ``plain`` and ``silenced``, as `evaluate` returns them, ``lost`` and ``change``; with
            ``each`` a record for each map in ``each``, the worst first, and ``figure()``.

        Raises
        ------
        InputError
            The folder, the table or a picture cannot be read.
        ModelError
            There is no such layer, or the scores do not depend on it.
        UsageError
            The layer has no such map.
        """
        from cnntool.api.ablation import DRAWN, FILLS, Ablator, choose_silenced
        from cnntool.nets.models.manifest import CLASSES

        names = [arguments.text("without", name) for name in arguments.several(without)]
        fill, each = arguments.one_of("fill", fill, FILLS), arguments.flag("each", each)
        batch = arguments.whole("batch", batch, most=4096)
        layers = choose_silenced(self, names)
        truths = self._truths(photos, self.plan(CLASSES), within)

        def failed(item: Item, error: ModelError) -> NoReturn:
            error.source = f"{item.name}: {error.source}"
            raise error

        ablator = Ablator(
            self,
            layers,
            truths,
            self._items,
            failed,
            fill=fill,
            each=each,
            batch=batch,
            source=str(photos),
            drawn=DRAWN,
        )
        with self.lock:
            found = ablator.run()
        if found is None:
            raise InputError("no picture could be read", source=str(photos))
        return found

    def _truths(
        self, photos: str | Path, plan: InferredSpec, within: int | None
    ) -> Mapping[Item, int]:
        """Return the pictures to evaluate it on, each with its class."""
        from cnntool.api.evaluation import drawn, read_truths

        truths = read_truths(_path("photos", photos), plan)
        if within is not None:
            truths = drawn(truths, arguments.whole("within", within))
        for error in (item.error for item in truths if item.error):
            raise error
        return truths

    def _items(
        self, items: Iterable[Item], prepare: Callable[..., Any]
    ) -> Iterator[tuple[Item, Any]]:
        """Read pictures as `_read` does; each comes with what it was found as."""
        items = list(items)
        read = self._read([item.path or item.name for item in items], prepare)
        return ((item, made) for item, (_, made) in zip(items, read, strict=True))

    def __repr__(self) -> str:
        return f"<Model {self.name}>"


def load_model(
    model: str | Path = BUILT_IN,
    *,
    device: str = "auto",
    threads: int | None = None,
    timeout: float = 30.0,
    max_memory: int | None = None,
    preprocess: str | None = None,
    channel_order: str | None = None,
    mean: float | Sequence[float] | None = None,
    deviation: float | Sequence[float] | None = None,
    resize: int | None = None,
    crop: int | tuple[int, int] | None = None,
    labels: str | Path | None = None,
    output_name: str | None = None,
    white: float | None = None,
    notes: Callable[[str], None] | None = None,
) -> Model:
    """Open a network: one of the catalogue, or any ONNX file.

    Parameters
    ----------
    model : str or path
        A name, see ``cnntool models``, or a file that ends in ``.onnx``.
    device : str
        Where it runs: ``auto``, ``cpu``, ``cuda``, ``cuda:1``... ``auto`` falls back to the CPU.
    threads : int, optional
        Threads to compute on; by default the processors that this process may use.
    timeout : float
        Seconds that it may take to open, and then for each picture.
    max_memory : int, optional
        Bytes that its process may take, where the system sees to that (Linux); by default what is
        available.
    preprocess : {'imagenet', 'torch', 'caffe', 'tf', 'unit', 'raw'}, optional
        How colours become numbers.
    channel_order : {'rgb', 'bgr'}, optional
        Order of the colours; mean and deviation go with their colours.
    mean, deviation : float or three of them, optional
        Subtract and divide by these.
    resize : int, optional
        Resize the shorter side to this first.
    crop : int or (int, int), optional
        Cut so many rows and columns from the centre.
    labels : path, optional
        A file with the names of the classes: a line each, or TSV, or JSON.
    output_name : str, optional
        Which output answers, of a network that has several.
    white : float, optional
        What white is in the picture that it makes.
    notes : callable, optional
        Is told, in a line each, what is worth knowing when it is found; `Model.notes` keeps it.

    Returns
    -------
    Model
        A context manager. What is not said here, in a manifest or in the graph is assumed:
        `Model.assumed`.

    Raises
    ------
    ModelError
        There is no such network, or its file cannot be read.
    UsageError
        What is said of it does not suit.

    Examples
    --------
    >>> with cnntool.load_model("vgg16-mini") as net:
    ...     net.classify("samples/cat.png")[0].label
    'cat'
    """
    from cnntool.nets.inference.presets import RECIPES, Overrides
    from cnntool.nets.runtime.providers import SessionSettings, attempts
    from cnntool.system import available_memory

    name = model if isinstance(model, str) else str(_path("model", model))
    attempts(arguments.text("device", device))
    overrides = Overrides(
        preprocess=preprocess and arguments.one_of("preprocess", preprocess, RECIPES),
        channel_order=channel_order
        and arguments.one_of("channel_order", channel_order, ("rgb", "bgr")).upper(),
        mean=_per_channel("mean", mean),
        deviation=_per_channel("deviation", deviation),
        resize=None if resize is None else arguments.whole("resize", resize, most=16384),
        crop=None if crop is None else arguments.pair("crop", crop, most=16384),
        labels=None if labels is None else _path("labels", labels),
        output=None if output_name is None else arguments.text("output_name", output_name),
        white=None if white is None else _above("white", white),
    )
    settings = SessionSettings(
        device=device,
        threads=None if threads is None else arguments.whole("threads", threads, most=1024),
        timeout=_above("timeout", timeout),
        max_memory=available_memory()
        if max_memory is None
        else arguments.whole("max_memory", max_memory, 64 << 20, 1 << 50),
    )
    return Model(name, overrides, settings, note=notes).read()


def open_model(model: Any) -> AbstractContextManager[Model]:
    """Open a network that is named, and close it in the end; one that is open stays so."""
    return nullcontext(model) if isinstance(model, Model) else load_model(model)


def _path(name: str, value: Any) -> Path:
    """Check a path."""
    from pathlib import Path

    if not isinstance(value, (str, os.PathLike)):
        raise arguments.wrong_type(name, value, "a path")
    return Path(value)


def _above(name: str, value: float) -> float:
    """Check a number above 0."""
    found = arguments.number(name, value)
    if not found > 0:
        raise UsageError(f"a number above 0 is expected, not {found:g}", source=f"`{name}`")
    return found


def _per_channel(name: str, value: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """Check one number, or one for each channel."""
    if value is None:
        return None
    numbers = arguments.numbers(name, value).reshape(-1)
    if len(numbers) not in {1, 3} or (name == "deviation" and min(numbers) <= 0):
        raise UsageError(
            f"one number or three{' above 0' * (name == 'deviation')} are expected, not {value}",
            source=f"`{name}`",
        )
    return tuple(numbers.tolist())
