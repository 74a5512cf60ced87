"""A degradation in a file of the project's root goes through every stage, as README has it."""

import json
import re
import subprocess

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from kelvin.pipeline.throwaway import make_copy

# the installed command: its own folder comes first among those that python looks into, not the project's
KELVIN = "from kelvin.__main__ import main\nif __name__ == '__main__':\n    main()\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory, warm_python):
    """A copy whose one active run is README's, and the command in it."""
    folder = tmp_path_factory.mktemp("own") / "copy"
    environment = make_copy(ROOT, folder, {"scale": "smoke", "active": ["dim"]})
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    module = re.search(r"^```python\n# my_module.py\n(.*?)^```$", readme, re.M | re.S)[1]
    (folder / "my_module.py").write_text(module)
    run = re.search(r"^```yaml\n(  dim:\n.*?)^```$", readme, re.M | re.S)[1]
    text = (folder / "params.yaml").read_text()
    assert text.count("\nruns:\n") == 1
    (folder / "params.yaml").write_text(text.replace("\nruns:\n", "\nruns:\n" + run))
    script = folder.parent / "bin/kelvin"
    script.parent.mkdir()
    script.write_text(KELVIN)

    def kelvin(*words):
        done = subprocess.run([warm_python, str(script), *words], cwd=folder, text=True,
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    kelvin.folder = folder
    return kelvin


def test_it_is_resolved_by_the_installed_command(copy):
    assert re.search(r'degradation.kind +"my_module:Dim"', copy("plan", "dim"))


def test_every_stage_works_with_it(copy):
    """Planned, trained, sampled, evaluated, reported and tracked; D(x, t) = (1 - 0.9 t / 20) x to one
    grey level, from the weights that were trained."""
    copy("repro", "--jobs", "1")
    record = json.loads((copy.folder / "reports/metrics.json").read_text())["dim"]
    assert record["fmd"] > 0 and {"improved", "naive", "direct"} <= set(record["samplers"])
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(grey).save(copy.folder / "photo.png")
    copy("restore", "data/models/digits/dim-0/ema.safetensors", "photo.png", "--t", "10", "--degrade",
         "--sampler", "direct", "--own-parts")
    shown = np.asarray(Image.open(copy.folder / "restored.png"))[4::8, 4::8]
    expected = 127.5 + (1 - 0.9 * 10 / 20) * (grey - 127.5)
    assert np.abs(shown[:, 9:17] - expected).max() <= 1
