"""A project's data looked through before anything is trained."""

from terraseg.core.watch import Watch
from terraseg.pipeline.project import Project
from terraseg.pipeline.splitting import patch_side
from terraseg.prepare.dataset import read_dataset
from terraseg.prepare.inspect import Inspection, inspect_dataset


def check_project(project: Project, watch: Watch, *, align: bool = False) -> Inspection:
    """What training would make of a project's data; with `align` the offset of labels is measured with care.

    Raises what `read_dataset` raises for a project file that names no data.
    """
    watch.step("check")
    dataset = read_dataset(project.data, project.root)
    return inspect_dataset(
        dataset,
        project.data.validation,
        patch=patch_side(project),
        align=align,
        progress=lambda done, total: watch.progress(done, total, "scenes"),
    )
