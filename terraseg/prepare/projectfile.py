"""The text of a first project file: what was found, and every setting a user is likely to change, with its meaning."""

import json
from collections.abc import Sequence

from terraseg.prepare.check import CheckResult
from terraseg.prepare.options import DataOptions, Shift

HEADER = """\
# A terraseg project: one table per command. Paths are relative to this file.
# Every setting that is left out is chosen by terraseg, which says what it chose and why (`terraseg plan`).

"""

REST = """
[train]
# time_budget = "8m"           # train for that long on this machine; or steps = 2000
# quality = "balanced"         # or "fast", "best": how long and how large
# network = "unet-light"       # or another that `terraseg models` lists
# encoder = "resnet18"         # a timm encoder
# loss = "ce"                  # or shares: {ce = 1, dice = 1}
# pretrained_path = ""         # encoder weights (.safetensors) or an earlier model's folder
# seed = 0

[sample]
# reduction = 1                # pixels of the imagery, along either axis, that make one of the network's
# crop = 128                   # side of a training patch
# batch = 8                    # patches a step

[optimize]
# schedule = "one-cycle"       # or "cosine", "poly"
# class_weights = "none"       # "auto": rare classes count more

[predict]
confidence = true             # a second raster with the certainty of each pixel, and its mean in every polygon

[vectorize]
# min_area_m2 = 4.0
# simplify_m = 0.5

[map]
run = "runs/first"              # where everything goes
# images = []                  # further rasters to map, besides the test scenes
# baseline = true              # also train a forest of decision trees, to see whether the network paid
"""


def project_text(found: CheckResult) -> str:
    """The project file as TOML text, ready to be written and read back without loss."""
    data = found.data
    lines = ["[data]", f"images = {_strings(data.images)}", f"labels = {_strings(data.labels)}"]
    if data.label_kind is not None:
        lines.append(f'label_kind = "{data.label_kind}"')
    if data.label_field:
        lines.append(f"label_field = {_string(data.label_field)}")
    lines.append(f"bands = {_strings(data.bands)}")
    lines.append(f"ignore = {_strings(data.ignore)}                 # label values that mean: not labelled")
    overlapping = "overlapping = true" if data.overlapping else "# overlapping = true"
    lines.append(f"{overlapping:30} # a pixel may be of several of the classes at once, or of none")
    lines.append("# nodata = 0                   # pixel value without data, where the files do not say so")
    if data.values != "scaled":
        lines.append(f'values = "{data.values}"')
    test = f"test = {_strings(data.test)}" if data.test else "# test = []"
    lines.append(f"{test:30} # scenes kept out of training, to be mapped and scored (names or patterns)")
    lines.append('# validation = []              # scenes that judge the training; ["none"] trains on everything')
    lines.append('# group = "auto"               # what stays together in a split: "scene", "folder" or "site"')
    lines += _drawing_lines(data)
    for index, c in enumerate(data.classes):
        lines += ["", "[[data.classes]]", f"id = {index if c.id is None else c.id}", f"name = {_string(c.name)}"]
        lines += [f"labels = {_strings(c.labels)}", f"color = {_string(c.color or '#808080')}"]
    notes = "".join(f"# {note}\n" for note in found.notes)
    return HEADER + notes + ("\n" if notes else "") + "\n".join(lines) + "\n" + REST


def _drawing_lines(data: DataOptions) -> list[str]:
    """The settings for labels that differ from what is usual."""
    usual = DataOptions(images=())
    lines = [f"extent = {_string(data.extent)}"] if data.extent else []
    lines += [f"assume_crs = {_string(data.assume_crs)}"] if data.assume_crs is not None else []
    if data.shift != usual.shift:
        lines.append(f"shift = {_shift(data.shift)}")
    lines += [f"buffer = {data.buffer:g}"] if data.buffer != usual.buffer else []
    if data.width != usual.width:
        lines.append(f"width = {_string(data.width) if isinstance(data.width, str) else f'{data.width:g}'}")
    return lines


def _shift(shift: Shift | dict[str, Shift]) -> str:
    if isinstance(shift, dict):
        return f"{{{', '.join(f'{_string(name)} = {list(map(float, own))}' for name, own in shift.items())}}}"
    return str([float(metres) for metres in shift])


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _strings(texts: Sequence[str]) -> str:
    if len(texts) <= 4:
        return f"[{', '.join(_string(t) for t in texts)}]"
    return "[\n" + "".join(f"  {_string(t)},\n" for t in texts) + "]"
