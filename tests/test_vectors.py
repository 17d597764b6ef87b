"""Vector files: which settings name one, how each kind is opened, and what is told of those that
cannot be.
"""

import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas
import pandas as pd
import pyogrio
import pytest
import shapely

from landcover.aoi import load_aoi
from landcover.errors import SettingsError
from landcover.vectors import describe_kinds, is_vector_file, read_features, vector_file

AREA = shapely.box(-79.5, 0.1, -79.4, 0.2)
WANTED = ("label", "number", "seen")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def drawn() -> geopandas.GeoDataFrame:
    """Two polygons, the second without a number."""
    return geopandas.GeoDataFrame(
        {
            "label": ["páramo", "caña\u2013veral"],
            "number": pd.array([2**60 + 1, None], dtype="Int64"),
            "seen": pd.array([True, None], dtype="boolean"),
        },
        geometry=[AREA, AREA.buffer(0.1)],
        crs=4326,
    )


def labels(text: str, wanted: tuple[str, ...] = WANTED) -> set[str]:
    return set(read_features(vector_file(text), "AREAS", wanted).column("label"))


def refused(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_features(vector_file(text), "AREAS", WANTED)
    return str(caught.value)


# --- what is a file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["drawn.gpkg", "drawn.KML", "~/drawn", "folder/drawn", "drawn.gpkg|layername=june", "old.qgz"],
)
def test_a_path_and_what_ends_as_vector_files_do_is_a_file(text: str) -> None:
    assert is_vector_file(text)


@pytest.mark.parametrize("text", ["polygons", "schema.table", "Field work.N° 1", "a folder", ""])
def test_other_names_are_those_of_tables(text: str) -> None:
    Path("a folder").mkdir()
    assert not is_vector_file(text)


def test_what_exists_as_a_file_is_one() -> None:
    Path("polygons").write_text("anything")
    assert is_vector_file("polygons")


def test_the_home_folder_is_found(drawn, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    drawn.to_file("drawn.gpkg")
    assert labels("~/drawn.gpkg|layername=drawn") == set(drawn["label"])
    assert "home folder of a user" in refused_path("~nobody-of-this-name/drawn.gpkg")


def refused_path(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        vector_file(text)
    return str(caught.value)


# --- every kind -----------------------------------------------------------------------------------

DRIVERS = {
    "gpkg": "GPKG",
    "geojson": "GeoJSON",
    "json": "GeoJSON",
    "geojsonl": "GeoJSONSeq",
    "shp": "ESRI Shapefile",
    "shz": "ESRI Shapefile",
    "shp.zip": "ESRI Shapefile",
    "gdb": "OpenFileGDB",
    "kml": "KML",
    "kmz": "LIBKML",
    "gml": "GML",
    "fgb": "FlatGeobuf",
    "tab": "MapInfo File",
    "mif": "MapInfo File",
    "sqlite": "SQLite",
}
ARROW = {"parquet": "to_parquet", "geoparquet": "to_parquet", "feather": "to_feather"}


@pytest.mark.parametrize("kind", [*DRIVERS, *ARROW])
def test_every_kind_of_file_is_read(drawn: geopandas.GeoDataFrame, kind: str) -> None:
    rows = drawn[["label", "geometry"]]
    if kind in ARROW:
        getattr(rows, ARROW[kind])(f"drawn.{kind}")
    else:
        pyogrio.write_dataframe(rows, f"drawn.{kind}", driver=DRIVERS[kind])
    assert labels(f"drawn.{kind}") == {"páramo", "caña\u2013veral"}
    found = load_aoi(f"drawn.{kind}")
    assert found.iloc[0].symmetric_difference(drawn.union_all()).area < 1e-6
    assert found.crs.to_epsg() == 4326


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "fgb", "parquet", "feather"])
def test_whole_numbers_and_yes_and_no_stay_so_where_some_are_missing(drawn, kind: str) -> None:
    if kind in ARROW:
        getattr(drawn, ARROW[kind])(f"drawn.{kind}")
    elif kind == "gdb":
        pyogrio.write_dataframe(
            drawn.drop(columns="seen"), "drawn.gdb", TARGET_ARCGIS_VERSION="ALL"
        )
        pytest.skip("this version of the format has neither")
    else:
        # Without a spatial index, a FlatGeobuf keeps the order.
        options = {"SPATIAL_INDEX": "NO"} if kind == "fgb" else {}
        drawn.to_file(f"drawn.{kind}", **options)
    found = read_features(vector_file(f"drawn.{kind}"), "AREAS", WANTED)
    assert found.column("number").iloc[0] == 2**60 + 1
    assert str(found.column("seen").iloc[0]) == "True"
    assert found.rows[["number", "seen"]].iloc[1].isna().all()


def test_a_csv_with_wkt_and_a_prj_is_read(drawn) -> None:
    Path("drawn.csv").write_text(f'wkt_geom,label\n"{AREA.wkt}",páramo\n')
    assert "drawn.csv does not say its coordinate reference system" in refused("drawn.csv")
    Path("drawn.prj").write_text(drawn.crs.to_wkt("WKT1_ESRI"))
    assert labels("drawn.csv") == {"páramo"}


@pytest.mark.parametrize("folder", ["[2025] {x}", "a#b?c", "100% año"])
def test_odd_letters_in_a_path_are_letters(drawn, folder: str) -> None:
    Path(folder).mkdir()
    drawn.to_file(f"{folder}/drawn.gpkg")
    assert labels(f"{folder}/drawn.gpkg") == set(drawn["label"])


# --- archives and layers --------------------------------------------------------------------------


def pack(archive: str, files: dict[str, Path]) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("__MACOSX/._drawn.shp", "of a Mac")
        for name, path in files.items():
            packed.write(path, name)


def test_a_shapefile_or_geodatabase_in_a_folder_of_an_archive_is_found(drawn) -> None:
    rows = drawn[["label", "geometry"]]
    rows.to_file("drawn.shp")
    pack("shape.zip", {f"June/{path.name}": path for path in Path().glob("drawn.*")})
    assert labels("shape.zip") == set(drawn["label"])
    pyogrio.write_dataframe(rows, "drawn.gdb", driver="OpenFileGDB")
    pack("base.zip", {str(path): path for path in Path("drawn.gdb").iterdir()})
    assert labels("base.zip") == set(drawn["label"])


def test_one_of_several_files_in_an_archive_is_asked_for(drawn) -> None:
    drawn[["label", "geometry"]].to_file("june.shp")
    drawn[["label", "geometry"]].to_file("july.shp")
    pack("both.zip", {path.name: path for path in Path().glob("ju*.*")})
    assert "should be an archive of one vector file, but both.zip holds july" in refused("both.zip")
    assert labels("both.zip|layername=june") == set(drawn["label"])


def test_of_several_layers_of_polygons_one_is_asked_for(drawn) -> None:
    for layer in ("june", "july"):
        drawn.to_file("both.gpkg", layer=layer)
    told = refused("both.gpkg")
    assert "both.gpkg holds june, july: name the one to be used, such as" in told
    assert "both.gpkg|layername=june" in told
    assert labels("both.gpkg|layername=july") == set(drawn["label"])
    assert labels("both.gpkg|layername=july|geometrytype=Polygon") == set(drawn["label"])
    assert "asks for the layer 'may', but both.gpkg holds june, july" in refused(
        "both.gpkg|layername=may"
    )
    assert "only |layername=NAME may follow" in refused("both.gpkg|subset=x")
    with pytest.raises(SettingsError, match="holds june, july"):
        load_aoi("both.gpkg")


def test_layers_without_polygons_do_not_count(drawn) -> None:
    drawn.to_file("drawn.gpkg", layer="polygons")
    drawn.set_geometry(drawn.representative_point()).to_file("drawn.gpkg", layer="points")
    pyogrio.write_dataframe(pd.DataFrame({"qml": ["x"]}), "drawn.gpkg", layer="layer_styles")
    assert labels("drawn.gpkg") == set(drawn["label"])


def test_a_file_of_tracks_is_told_as_what_it_is(drawn) -> None:
    rows = drawn.set_geometry(drawn.boundary)[["geometry"]]
    pyogrio.write_dataframe(rows, "walked.gpx", driver="GPX", FORCE_GPX_TRACK="YES")
    assert "AREAS holds no polygon: walked.gpx has the layers waypoints (Point)" in refused(
        "walked.gpx"
    )


# --- feature ids ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "ids"),
    [
        ("gpkg", "fid", [1, 2]),
        ("sqlite", "ogc_fid", [1, 2]),
        ("gdb", "OBJECTID", [1, 2]),
        ("shp", "FID", [0, 1]),
        ("geojson", "fid", [0, 1]),
        ("parquet", "fid", [0, 1]),
    ],
)
def test_feature_ids_are_those_that_qgis_shows(drawn, kind: str, name: str, ids: list[int]) -> None:
    rows = drawn[["label", "geometry"]]
    if kind in ARROW:
        rows.to_parquet(f"drawn.{kind}")
    else:
        pyogrio.write_dataframe(rows, f"drawn.{kind}", driver=DRIVERS[kind])
    found = read_features(vector_file(f"drawn.{kind}"), "AREAS", [name])
    assert found.has(name)
    assert not found.has("x")
    assert found.column(name).tolist() == ids


@pytest.mark.parametrize("ids", [["7", "9"], ['"a-7"', '"b-9"']])
def test_the_ids_of_geojson_are_found_whatever_their_type(ids: list[str]) -> None:
    shape = '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}'
    features = ", ".join(
        f'{{"type": "Feature", "id": {number}, "properties": {{}}, "geometry": {shape}}}'
        for number in ids
    )
    Path("drawn.geojson").write_text(f'{{"type": "FeatureCollection", "features": [{features}]}}')
    found = read_features(vector_file("drawn.geojson"), "AREAS", ["id"])
    assert [str(value) for value in found.column("id")] == [number.strip('"') for number in ids]


def test_a_column_that_is_called_fid_comes_before_the_feature_ids(drawn) -> None:
    drawn.assign(fid=[50, 60])[["fid", "geometry"]].to_parquet("drawn.parquet")
    found = read_features(vector_file("drawn.parquet"), "AREAS", ["fid"])
    assert found.column("fid").tolist() == [50, 60]


# --- encodings ------------------------------------------------------------------------------------


@pytest.fixture
def shapefile(drawn: geopandas.GeoDataFrame) -> Callable[..., str]:
    def write(encoding: str, cpg: str | None, code_page: int = 0) -> str:
        rows = drawn[["label", "geometry"]]
        if encoding != "cp1251":
            rows = rows.assign(año="x")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.to_file("drawn.shp", encoding=encoding)
        Path("drawn.cpg").unlink(missing_ok=True)
        if cpg is not None:
            Path("drawn.cpg").write_text(cpg)
        with Path("drawn.dbf").open("r+b") as table:
            table.seek(29)
            table.write(bytes([code_page]))
        return "drawn.shp"

    return write


@pytest.mark.parametrize(
    ("encoding", "cpg", "code_page"),
    [
        ("UTF-8", "UTF-8", 0),
        ("UTF-8", None, 0),
        ("UTF-8", None, 87),
        ("UTF-8", "", 0),
        ("UTF-8", "65001", 0),
        ("cp1252", "1252", 0),
        ("cp1252", "ANSI 1252", 0),
        ("cp1252", None, 0),
        ("cp1252", None, 3),
        ("cp1252", None, 87),
        ("cp1252", "of its own", 0),
        ("cp1251", "1251", 0),
    ],
)
def test_text_of_a_shapefile_is_read_in_the_encoding_that_it_is_in(
    shapefile, drawn, encoding: str, cpg: str | None, code_page: int, monkeypatch
) -> None:
    if encoding == "cp1251":
        drawn["label"] = ["лес", "вода"]
    # An encoding that the machine sets for all Shapefiles does not change what is in this one.
    path = shapefile(encoding, cpg, code_page)
    monkeypatch.setenv("SHAPE_ENCODING", "CP437")
    assert labels(path) == set(drawn["label"])


@pytest.mark.parametrize(
    ("encoding", "cpg", "told"),
    [
        ("cp1252", "UTF-8", "says that its text is in utf-8, but it is not so"),
        ("UTF-8", "1252", "says that its text is in cp1252, but it is in UTF-8"),
    ],
)
def test_a_cpg_that_lies_is_told_but_does_not_matter_to_an_area(
    shapefile, encoding: str, cpg: str, told: str
) -> None:
    path = shapefile(encoding, cpg)
    assert f"The .cpg of drawn.shp {told}" in refused(path)
    assert not load_aoi(path).iloc[0].is_empty


@pytest.mark.parametrize("kind", ["geojson", "csv"])
def test_text_in_latin_1_is_told_with_the_file(drawn, kind: str) -> None:
    path = Path(f"drawn.{kind}")
    options = {"GEOMETRY": "AS_WKT"} if kind == "csv" else {}
    drawn["label"] = ["páramo", "cañaveral"]
    pyogrio.write_dataframe(drawn[["label", "geometry"]], path, **options)
    path.write_bytes(path.read_text().encode("latin-1"))
    told = refused(str(path))
    assert f"not in the encoding that it should be in: {path}" in told
    assert "save it again in UTF-8" in told


# --- what cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("drawn.dwg", "is drawn.dwg, which is a drawing that cannot be read here: save"),
        ("drawn.qgz", "is a project of QGIS, not a layer"),
        ("drawn.dbf", "is one of the files of a Shapefile: name the one that ends in .shp"),
        ("drawn.rar", "is packed: unpack it"),
        ("drawn.xyz", "cannot be read: drawn.xyz (its content is not of a kind that is read here"),
        ("drawn.gpkg", "cannot be read: drawn.gpkg"),
        ("drawn.zip", "cannot be read: drawn.zip"),
        ("drawn.parquet", "cannot be read: drawn.parquet"),
        ("drawn.feather", "cannot be read: drawn.feather"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(name: str, told: str) -> None:
    Path(name).write_bytes(b"\0garbage" * 40)
    assert told in refused(name)


def test_what_is_not_there_or_not_a_file_is_told() -> None:
    Path("folder").mkdir()
    assert "AREAS is a file that does not exist: drawn.gpkg." in refused("drawn.gpkg")
    assert "AREAS is a folder: folder; name the file in it." in refused("folder")
    told = refused("https://user:secret@host/drawn.gpkg")
    assert "AREAS should be on this machine, but is at https://..." in told
    assert "secret" not in told


def test_tables_without_geometries_are_told(drawn) -> None:
    pd.DataFrame(drawn[["label"]]).to_parquet("plain.parquet")
    assert "without geometries: save it as GeoParquet" in refused("plain.parquet")
    pyogrio.write_dataframe(drawn[["label"]], "plain.gpkg")
    assert "AREAS is a file without geometries: plain.gpkg" in refused("plain.gpkg")


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "parquet"])
def test_metres_that_are_said_to_be_degrees_are_told(kind: str) -> None:
    shape = shapely.box(-8828000, 0, -8827000, 1000)
    rows = geopandas.GeoDataFrame({"label": ["a"]}, geometry=[shape], crs=4326)
    rows.to_parquet("drawn.parquet") if kind in ARROW else rows.to_file(f"drawn.{kind}")
    assert f"drawn.{kind} has coordinates that are not longitudes" in refused(f"drawn.{kind}")


def test_a_crs_that_is_missing_or_not_of_the_earth_is_told(drawn) -> None:
    drawn.set_crs(None, allow_override=True).to_parquet("drawn.parquet")
    assert "drawn.parquet does not say its coordinate reference system" in refused("drawn.parquet")
    local = 'LOCAL_CS["of a building",UNIT["metre",1]]'
    drawn.set_crs(local, allow_override=True).to_file("drawn.gpkg")
    assert "'of a building', from which nothing leads to longitude" in refused("drawn.gpkg")


def test_a_file_of_another_user_is_told(drawn) -> None:
    drawn.to_file("drawn.gpkg")
    Path("closed").mkdir()
    shutil.move("drawn.gpkg", "closed/drawn.gpkg")
    code = (
        "from landcover.errors import SettingsError\n"
        "from landcover.vectors import read_features, vector_file\n"
        "try: read_features(vector_file('closed/drawn.gpkg'), 'AREAS')\n"
        "except SettingsError as error: print(error)\n"
    )
    # Root without the right to read everything.
    ordinary = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--reuid=65534"]
    for closed in (Path("closed/drawn.gpkg"), Path("closed")):
        closed.chmod(0)
        run = subprocess.run(
            [*ordinary, "--clear-groups", sys.executable, "-c", code],
            capture_output=True,
            text=True,
        )
        closed.chmod(0o755)
        assert "AREAS may not be read" in run.stdout, run.stderr


def test_kinds_are_counted() -> None:
    kinds = ["Point"] * 96 + ["MULTIPOINT", "LineString Z", None]
    assert describe_kinds(kinds) == "97 points, 1 line"
