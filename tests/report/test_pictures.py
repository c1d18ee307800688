"""The PNG of a chart: at 300 dpi, with something in it, whatever the names are."""

import io

import pytest
from made import made
from PIL import Image
from plotted import HOSTILE, one

from mlbench_core.report.charts import Chart

FEW = {"batch_sizes": [32], "blocks": 2, "queries": 20, "values": 5}


def picture(chart: Chart) -> Image.Image:
    image = Image.open(io.BytesIO(chart.png or b""))
    darkest, lightest = image.convert("L").getextrema()
    assert darkest < 64  # text
    assert lightest == 255  # paper
    return image


def test_a_picture_is_wide_enough_for_print() -> None:
    chart = one(made(**FEW), "training_time")
    image = picture(chart)
    assert image.format == "PNG"
    assert image.size == tuple(round(300 * inches) for inches in chart.size)
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("name", ["forest", "throughput"])
def test_names_are_anybodys_text(name: str) -> None:
    picture(one(made(frameworks=HOSTILE, models=HOSTILE[:1], **FEW), name))
