"""What the pages say in Spanish about hectares by region."""

from collections.abc import Mapping

REGIONS_SPANISH: Mapping[str, str] = {
    "regions": "Por región",
    "regions_caption": "Hectáreas reales de cada clase en el mapa, por región, en la parte que "
    "está dentro del área de interés",
    "regions_loss_caption": "Hectáreas reales de lo que se sabe del bosque, y alertas, por región, "
    "en la parte que está dentro del área de interés; primero las de más pérdida",
    "regions_year_caption": "Hectáreas reales de bosque y de otras tierras a fines del año, por "
    "región, en la parte que está dentro del área de interés",
    "regions_region": "Región",
    "regions_area": "En el área de interés, ha",
    "regions_forest": "Bosque, ha",
    "regions_forest_share": "Bosque, proporción",
    "regions_of": "{name}, ha",
    "regions_no_imagery": "Sin imagen válida, ha",
    "regions_alerts_warning": "Avisos, número",
    "regions_alerts_confirmed": "Alertas confirmadas, número",
    "regions_note": "Las regiones son las de {source}. Un píxel es de la región en la que está su "
    "centro. Como todas las hectáreas contadas en el mapa, estas no tienen un error conocido.",
    "regions_alerts_note": "Una alerta cuenta en cada región de la que ocupa una parte.",
    "regions_more": "La tabla muestra {shown} de {total} regiones; el archivo {file}, junto a esta "
    "página, las tiene todas.",
    "regions_no_polygons": "No son polígonos con superficie y se dejan fuera: {count} elementos "
    "del archivo de regiones.",
    "regions_unnamed": "Regiones sin nombre, que se dejan fuera: {count} (filas {rows}); póngales "
    "un nombre, o indique con REGIONS_NAME_COL la columna que lo tiene.",
    "regions_joined": "Nombres que aparecen más de una vez, y cuyas partes se cuentan como una "
    "sola región: {count} ({names}); si son regiones distintas, deles nombres distintos.",
    "regions_outside": "Regiones de las {total} sin ningún píxel en el área de interés, que se "
    "dejan fuera: {count} ({names}).",
    "regions_overlap": "Pares de regiones que se superponen: {count}; la mayor superposición es la "
    "de {one} y {other} ({hectares} ha). Esa tierra cuenta en cada una, así que las regiones suman "
    "más de lo que hay.",
}
