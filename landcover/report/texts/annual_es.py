"""What the page about a year says in Spanish."""

from collections.abc import Mapping

ANNUAL_SPANISH: Mapping[str, str] = {
    "annual_report": "Mapa anual de bosque",
    "annual_title": "Bosque a fines de {year}",
    "annual_class_0": "No bosque",
    "annual_class_1": "Bosque",
    "annual_class_254": "Sin datos",
    "annual_months": "Meses usados",
    "annual_months_value": "{count} de 12",
    "annual_months_all": "todos los meses tienen mapa",
    "annual_months_missing": "sin mapa: {count}",
    "annual_lead": "A fines de {year}, {forest} ha del área de interés eran bosque y {other} ha no "
    "lo eran. {nodata} ha no se vieron en suficientes meses para decirlo.",
    "annual_lead_until": "El último mapa es el de {month}: aquí no se sabe lo que pasó después.",
    "annual_no_warnings": "Ninguna: no se señaló nada al reunir los meses.",
    "annual_map": "Bosque y otras tierras",
    "annual_map_caption": "El estado de cada lugar a fines del año. Rayado: sin datos. Línea "
    "negra: área de interés.",
    "annual_map_alt": "Mapa de bosque a fines de {year}: {forest} ha de bosque y {other} ha de "
    "otras tierras.",
    "annual_areas_caption": "Superficie real dentro del área de interés",
    "annual_clear": "Cuántas veces se vio cada lugar",
    "annual_clear_map_caption": "En cuántos meses se vio cada lugar sin nubes, sombra ni neblina.",
    "annual_clear_map_alt": "Mapa del número de meses despejados de {year}.",
    "annual_clear_caption": "Hectáreas según el número de meses despejados",
    "annual_clear_count": "Meses despejados",
    "annual_maps": "Los mapas de los que se hizo",
    "annual_maps_caption": "Un mes sin mapa cuenta como no visto.",
    "annual_month": "Mes",
    "annual_file": "Mapa",
    "annual_no_map": "sin mapa",
    "annual_reading": "Cómo leerlo",
    "annual_rule": "Cada lugar recibe una sola clase a partir de todos los meses que lo vieron "
    "despejado, según la regla {rule}. {meaning} Un lugar con menos de {least} meses despejados "
    "queda sin datos.",
    "annual_rule_majority": "Es lo que dice la mayoría de sus meses despejados; si hay empate, lo "
    "que dicen los de la segunda mitad.",
    "annual_rule_trend": "Es lo que dicen sus dos últimos meses despejados; si difieren, uno de "
    "los tres últimos se toma por anómalo y cuentan los otros dos.",
    "annual_rule_change_point": "Los meses se dividen en dos donde los anteriores y los "
    "posteriores concuerdan mejor entre sí. Si muestran un cambio, cuenta lo que vino después; si "
    "no, la mayoría.",
    "annual_rule_latest": "Es lo que dice su último mes despejado.",
    "annual_rule_weighted": "Se suman sus meses despejados, que cuentan menos cuanto más lejos "
    "están del fin del año.",
    "annual_rule_hmm": "Un modelo oculto de Márkov pondera todos sus meses despejados según la "
    "confianza de sus mapas (cada uno cuenta como mínimo {least_said} y como máximo {most_said}) y "
    "supone que en un mes se tala {loss} del bosque y {regain} de las otras tierras se vuelve "
    "bosque. Cuenta el estado más probable a fines del año.",
    "annual_reading_unseen": "Un mes de nubes, sombra o neblina no dice nada. La tierra que nunca "
    "se vio no es ni bosque ni otra tierra.",
    "annual_reading_late": "Lo que se tala en los últimos meses del año puede haberse visto muy "
    "pocas veces para pesar más que los meses anteriores: estará en el mapa del año siguiente. "
    "Para cada claro y su fecha, consulte el registro de deforestación.",
    "annual_reading_counted": "Las hectáreas se cuentan sobre el mapa, en superficie real; no se "
    "estiman con un error conocido.",
}
