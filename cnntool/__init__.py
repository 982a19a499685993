"""Filter images and look inside convolutional networks.

::

    import cnntool

    edges = cnntool.filter("photo.jpg", "gaussian:sigma=2", "sobel", border="replicate")
    maps = cnntool.filter("photo.jpg", "sobel-x", "sobel-y", bank=True)  # (maps, H, W)
    cnntool.contact_sheet(cnntool.pool(maps, max=2), style="viridis").save("maps.png")
    print(cnntool.trace("photo.jpg", "laplacian", at=(10, 20)))
    cnntool.write_image("edges.png", edges)

What is asked for is imported then; importing the package itself loads nothing.
"""

TYPE_CHECKING = False  # what reads types takes it for true; typing would have to be imported

if TYPE_CHECKING:
    from cnntool import errors as errors
    from cnntool.api.batches import map_pictures as map_pictures
    from cnntool.api.comparison import compare as compare
    from cnntool.api.features import features as features
    from cnntool.api.filter_figure import filter_figure as filter_figure
    from cnntool.api.filtering import convolve as convolve
    from cnntool.api.filtering import filter as filter
    from cnntool.api.filtering import filter_plan as filter_plan
    from cnntool.api.kernels import frequency_response as frequency_response
    from cnntool.api.kernels import kernels as kernels
    from cnntool.api.layer_chain import layer_chain as layer_chain
    from cnntool.api.model import Model as Model
    from cnntool.api.model import load_model as load_model
    from cnntool.api.pictures import Figure as Figure
    from cnntool.api.pictures import contact_sheet as contact_sheet
    from cnntool.api.pictures import read_image as read_image
    from cnntool.api.pictures import write_image as write_image
    from cnntool.api.resampling import deconv as deconv
    from cnntool.api.resampling import pool as pool
    from cnntool.api.resampling import resize as resize
    from cnntool.api.resampling import unpool as unpool
    from cnntool.api.tracing import trace as trace
    from cnntool.api.unrolling import convolution_matrix as convolution_matrix
    from cnntool.api.unrolling import im2col as im2col
    from cnntool.api.weight_comparison import compare_weights as compare_weights
    from cnntool.version import __version__ as __version__
else:
    _MODULES = {
        "Figure": "api.pictures",
        "Model": "api.model",
        "__version__": "version",
        "compare": "api.comparison",
        "compare_weights": "api.weight_comparison",
        "contact_sheet": "api.pictures",
        "convolution_matrix": "api.unrolling",
        "convolve": "api.filtering",
        "deconv": "api.resampling",
        "errors": "errors",
        "features": "api.features",
        "frequency_response": "api.kernels",
        "filter": "api.filtering",
        "filter_figure": "api.filter_figure",
        "filter_plan": "api.filtering",
        "im2col": "api.unrolling",
        "kernels": "api.kernels",
        "layer_chain": "api.layer_chain",
        "load_model": "api.model",
        "map_pictures": "api.batches",
        "pool": "api.resampling",
        "read_image": "api.pictures",
        "resize": "api.resampling",
        "trace": "api.tracing",
        "unpool": "api.resampling",
        "write_image": "api.pictures",
    }
    """Every public name, and the module that it is in."""

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'cnntool' has no attribute {name!r}")
        from importlib import import_module

        module = import_module(f"cnntool.{_MODULES[name]}")
        value = globals()[name] = module if name == _MODULES[name] else getattr(module, name)
        return value

    def __dir__() -> list[str]:
        return sorted(_MODULES)
