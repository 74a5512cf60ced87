"""python -m kelvin.report RECORD.json: draw a record's page, from the results in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from kelvin.common.errors import KelvinError
from kelvin.common.files import read_json
from kelvin.config.plan import ReportPlan, plan_path
from kelvin.report.build import build


def main(about: str) -> int:
    path = plan_path("report")
    try:
        plan = ReportPlan.model_validate_json(path.read_text(encoding="utf-8"))
        build(plan, record=read_json(Path(about)))
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"kelvin: {path} was made by another version ({str(error).splitlines()[0]}): make the "
              "record again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
