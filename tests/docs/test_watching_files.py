"""The dashboard and the alerts of ``deploy`` ask for metrics that exist, and lead to the guide.

``promtool`` of Debian's package ``prometheus`` checks the rest: ``check rules`` and ``test rules``.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from nightlatch.faces.metrics import FAMILIES, Of
from tests.docs.reference import ROOT
from tests.docs.test_pages import anchors

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/nightlatch.json").read_text())
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
TESTED = (DEPLOY / "prometheus/alerts_test.yaml").read_text()
GUIDE = ROOT / "docs/guides/watching.md"
_NAME = re.compile(r"\b(?:nightlatch|web|api|process)_[a-z_]+")
_SELECTED = re.compile(r"([a-z_]+)\{([^}]*)\}")
_GROUPED = re.compile(r"by \(([^)]*)\)")
_PARTS = {Of.HISTOGRAM: ("_bucket", "_sum", "_count"), Of.SUMMARY: ("_sum", "_count")}
SAMPLES = {
    family.exposed + part: family for family in FAMILIES for part in _PARTS.get(family.kind, ("",))
}
OF_PROMETHEUS = {"instance", "job", "le", "alertname", "alertstate"}


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> dict[str, str]:
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel.get("targets", [])
    }
    return found | {rule["alert"]: rule["expr"] for rule in ALERTS}


@pytest.mark.parametrize(("where", "expression"), expressions().items(), ids=[*expressions()])
def test_every_metric_and_label_that_is_asked_for_exists(where, expression):
    names = [name for name in _NAME.findall(expression) if name in SAMPLES or "nightlatch" in name]
    allowed = OF_PROMETHEUS.union(*(SAMPLES[name].labels for name in names if name in SAMPLES))

    assert names or "up{" in expression, where
    assert [name for name in names if name not in SAMPLES] == []
    for name, selected in _SELECTED.findall(expression):
        assert set(re.findall(r"([a-z_]+)\s*=", selected)) <= allowed, name
    for grouped in _GROUPED.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= allowed


def test_the_dashboard_shows_every_metric_that_is_not_of_the_web_application():
    asked = " ".join(expressions().values())

    hidden = [
        family.exposed
        for family in FAMILIES
        if not family.exposed.startswith(("web_", "api_")) and family.exposed not in asked
    ]
    assert hidden == ["nightlatch_reading_failures_total"]


def test_the_dashboard_has_its_rows_and_every_panel_a_place_of_its_own():
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    ids = [panel["id"] for panel in panels()]
    cells = [
        (x, y)
        for panel in panels()
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert rows == [
        "Traffic", "Guesses and locks", "Hashing", "Store", "Mail, codes and webhooks", "Bridge",
        "Nodes",
    ]  # fmt: skip
    assert len(ids) == len(set(ids))
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_alert_leads_to_its_section_of_the_guide():
    sections = anchors(GUIDE)

    for rule in ALERTS:
        page, _, section = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / page, section in sections) == (GUIDE, True), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["alert"] in GUIDE.read_text()


def test_every_alert_has_a_test_that_promtool_runs():
    assert [rule["alert"] for rule in ALERTS if rule["alert"] not in TESTED] == []
    assert yaml.safe_load(TESTED)["rule_files"] == ["alerts.yaml"]


def test_prometheus_is_told_where_the_metrics_are_and_of_the_alerts():
    settings = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
    (job,) = settings["scrape_configs"]

    assert settings["rule_files"] == ["alerts.yaml"]
    assert (job["job_name"], job["metrics_path"]) == ("nightlatch", "/metrics")
    assert job["params"] == {"format": ["prometheus"]}
    assert 'up{job="nightlatch"}' in " ".join(rule["expr"] for rule in ALERTS)
