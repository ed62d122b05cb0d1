"""The Grafana dashboard, made of the table in `panels`: `make docs` writes docker/monitoring/grafana/dashboards/tape.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from crosstape_aggregator.metrics.per_instrument import CODES
from docs.panel import Panel, Steps
from docs.panels import GONE, ROWS

PATH: Final = Path(__file__).parents[1] / "docker" / "monitoring" / "grafana" / "dashboards" / "tape.json"
SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="crosstape-prometheus")
"""As docker/monitoring/grafana/provisioning/datasources names it."""

LEGS: Final = 24
"""Legs that are shown together: of thousands one turns the pages, or chooses instruments."""
COLORS: Final = ("green", "red", "dark-red", "purple", "orange", "yellow", "light-blue", "blue", "light-purple", "dark-orange", "gray")
"""Of a leg that counts, then of one that does not, by reason."""


def text() -> str:
    """The dashboard's JSON."""
    made = (
        dashboard.Dashboard("crosstape: the tape")
        .uid("crosstape-tape")
        .description("Venues, latency per hop, consolidated quotes and what went wrong, of one tape.")
        .tags(["crosstape"])
        .timezone("utc")
        .time("now-30m", "now")
        .refresh("15s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(_variable("tape", "Tape", "label_values(up, tape)"))
        .with_variable(
            _variable("instrument", "Instruments", 'label_values(crosstape_aggregator_spread_bps{tape="$tape"}, instrument)')
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(text=["All"], value=["$__all"]))
        )
    )
    number = 0
    for title, panels in ROWS:
        number += 1
        made.with_row(dashboard.Row(title).id(number))
        for panel in panels:
            number += 1
            made.with_panel(_panel(panel).id(number))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> timeseries.Panel | heatmap.Panel | statetimeline.Panel | table.Panel:
    made: timeseries.Panel | heatmap.Panel | statetimeline.Panel | table.Panel
    match panel.shape:
        case "lines" | "bars":
            made = _lines(panel)
        case "heatmap":
            made = _heatmap(panel)
        case "states" | "legs":
            made = _states(panel)
        case "matrix" | "alerts":
            made = _table(panel)
    made.title(panel.title).description(panel.description).datasource(SOURCE).unit(panel.unit).height(panel.height).span(panel.width)
    for query in _queries(panel):
        made.with_target(query)
    return made.no_value(panel.no_value) if panel.no_value else made


def _queries(panel: Panel) -> Iterable[prometheus.Dataquery]:
    for number, (expr, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expr).ref_id(chr(ord("A") + number)).legend_format(legend)
        match panel.shape:
            case "matrix" | "alerts":
                yield query.instant().format(PromQueryFormat.TABLE)
            case "heatmap":
                yield query.range().format(PromQueryFormat.HEATMAP)
            case _:
                yield query.range().format(PromQueryFormat.TIME_SERIES)


def _lines(panel: Panel) -> timeseries.Panel:
    bars = panel.shape == "bars"
    legend = (
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.TABLE)
        .placement(shapes.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["sum"] if bars else ["lastNotNull", "max"])
        .sort_by("Total" if bars else "Max")
        .sort_desc(True)
    )
    tooltip = common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING)
    made = timeseries.Panel().legend(legend).tooltip(tooltip).line_width(1)
    if len(panel.steps) > 1:
        area = common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.AREA)
        made = made.thresholds(_thresholds(panel.steps)).thresholds_style(area)
    if bars:
        stacking = common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A")
        return made.draw_style(shapes.GraphDrawStyle.BARS).fill_opacity(80).stacking(stacking).decimals(0).min(0)
    return made.draw_style(shapes.GraphDrawStyle.LINE).show_points(shapes.VisibilityMode.NEVER).axis_soft_min(0)


def _heatmap(panel: Panel) -> heatmap.Panel:
    color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64).exponent(0.5)
    return (
        heatmap.Panel()
        .calculate(False)  # Prometheus has the buckets
        .color(color)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .show_legend()
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def _states(panel: Panel) -> statetimeline.Panel:
    made = statetimeline.Panel().merge_values(True).row_height(0.8).per_page(LEGS).line_width(0).fill_opacity(80)
    if panel.shape == "legs":
        words = {
            str(code): model.ValueMappingResult(text="counts" if reason is None else reason.value, color=COLORS[code], index=code)
            for reason, code in CODES.items()
        }
        return made.mappings([model.ValueMap(words)]).show_value(shapes.VisibilityMode.NEVER)
    return made.thresholds(_thresholds(panel.steps)).color_scheme(_by_threshold()).show_value(shapes.VisibilityMode.AUTO)


def _table(panel: Panel) -> table.Panel:
    made = table.Panel()
    if panel.shape == "alerts":
        hidden = ["Time", "Value", "__name__", "tape", "job", "instance"]
        first = {
            name: place for place, name in enumerate(["severity", "alertstate", "alertname", "service", "venue", "kind", "instrument"])
        }
        return made.with_transformation(
            model.DataTransformerConfig(
                id_val="organize", options={"excludeByName": dict.fromkeys(hidden, True), "indexByName": first, "renameByName": {}}
            )
        )
    words = model.ValueMap(
        {
            "0": model.ValueMappingResult(text="live", color="green", index=0),
            str(GONE): model.ValueMappingResult(text="gone", color="dark-red", index=1),
        }
    )
    matrix = model.DataTransformerConfig(
        id_val="groupingToMatrix", options={"columnField": "kind", "rowField": "venue", "valueField": "Value", "emptyValue": "empty"}
    )
    names = model.DataTransformerConfig(id_val="organize", options={"renameByName": {"venue\\kind": "venue"}})
    return (
        made.with_transformation(matrix)
        .with_transformation(names)
        .mappings([words])
        .thresholds(_thresholds(panel.steps))
        .color_scheme(_by_threshold())
        .cell_options(shapes.TableColoredBackgroundCellOptions(mode=shapes.TableCellBackgroundDisplayMode.BASIC))
        .override_by_name("venue", [model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "auto"})])
    )


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    found = [model.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


def _by_threshold() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def main() -> None:
    """Write the dashboard anew."""
    PATH.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
