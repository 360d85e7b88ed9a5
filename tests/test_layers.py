"""Imports point downwards only; foreign packages stay behind the seam that is theirs."""

import grimp
import pytest

LAYERS = (
    ("cli", "__main__"),
    ("server", "viewer"),
    ("integrations",),
    ("rewarding",),
    ("bench",),
    ("pairs",),
    ("preferences",),
    ("rollout",),
    ("rollouts",),
    ("corpus",),
    ("judge",),
    ("runs",),
    ("io", "store"),
    ("judges",),
    ("sending", "scoring"),
    ("engines", "prompts"),
    ("types", "errors", "_util"),
)
RANK = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("plaudit", include_external_packages=True, cache_dir=None)


def package_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "plaudit" and len(parts) > 1 else None


def test_every_package_has_a_layer(graph: grimp.ImportGraph) -> None:
    assert {package_of(m) for m in graph.modules} - {None} <= RANK.keys()


def test_imports_point_downwards_only(graph: grimp.ImportGraph) -> None:
    upward = [
        f"{importer} imports {imported}"
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if (a := package_of(importer)) and (b := package_of(imported)) and RANK[b] < RANK[a]
    ]
    assert upward == []


def test_nothing_imports_the_public_api_but_the_version(graph: grimp.ImportGraph) -> None:
    importers = {package_of(m) for m in graph.find_modules_that_directly_import("plaudit")}
    assert importers <= {"cli", "__main__"}


@pytest.mark.parametrize(
    ("external", "owners"),
    [
        (
            "aiohttp",
            {
                "plaudit.engines.http.connections",
                "plaudit.engines.http.transfers",
                "plaudit.rewarding.remote",
                "plaudit.server.app",
                "plaudit.server.boundary",
                "plaudit.server.peers",
                "plaudit.server.running",
                "plaudit.viewer.app",
                "plaudit.viewer.compare_pages",
                "plaudit.viewer.label_pages",
                "plaudit.viewer.row_pages",
                "plaudit.viewer.saving",
                "plaudit.viewer.serving",
                "plaudit.viewer.site",
            },
        ),
        ("xllamacpp", {"plaudit.engines.llama.native"}),
        ("typer", None),
        ("mcp", {"plaudit.rollouts.tools.mcp"}),
        ("jsonschema_rs", {"plaudit.rollouts.tools.base"}),
        ("docstring_parser", {"plaudit.rollouts.tools.function"}),
        ("torch", {"plaudit.integrations.trl_sampling"}),
        (
            "sqlite3",
            {
                "plaudit.store.batches",
                "plaudit.store.session",
                "plaudit.store.schema",
                "plaudit._util.disk",
                "plaudit.store.damage",
                "plaudit.store.limit",
                "plaudit.store.pruning",
                "plaudit.store.queue",
                "plaudit.store.recovery",
                "plaudit.store.runs",
                "plaudit.store.upkeep",
                "plaudit.io.scratch",
            },
        ),
    ],
)
def test_foreign_packages_stay_behind_their_seam(
    graph: grimp.ImportGraph, external: str, owners: set[str] | None
) -> None:
    importers = graph.find_modules_that_directly_import(external)
    if owners is None:
        assert all(package_of(m) == "cli" for m in importers)
    else:
        assert importers <= owners
