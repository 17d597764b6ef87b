"""What the page about a map that is held against another says in Spanish."""

from collections.abc import Mapping

from landcover.report.texts import NARROW

COMPARE_SPANISH: Mapping[str, str] = {
    "compare_report": "Comparación de dos mapas",
    "compare_title": "Bosque en {period}, comparado con {other}",
    "compare_agreement": "Los dos mapas coinciden en",
    "compare_of_compared": "de lo que conocen ambos mapas",
    "compare_compared": "Comparado",
    "compare_both_known": "que conocen ambos mapas, en el área de interés",
    "compare_forest_this": "Bosque en este mapa",
    "compare_forest_other": "Bosque en el otro mapa",
    "compare_lead": "El mapa de {period} y {other} dicen lo mismo del {agreement} de la superficie "
    "que conocen ambos. Bosque solo en este mapa: {only_ours} ha; solo en el otro: {only_theirs} "
    "ha.",
    "compare_no_warnings": "Ninguna: no se encontró nada que haga dudar de esta comparación.",
    "compare_map": "Dónde difieren",
    "compare_map_caption": "Lo que dicen los dos mapas de cada lugar; rayado donde uno de ellos, o "
    "ambos, no saben nada. Línea negra: área de interés.",
    "compare_map_alt": "Mapa de dónde difieren este mapa y {other}; coinciden en el {agreement}.",
    "compare_cells_caption": "Hectáreas reales que conocen ambos mapas",
    "compare_code_0": "Ninguno es bosque",
    "compare_code_1": "Bosque solo en el otro mapa",
    "compare_code_2": "Bosque solo en este mapa",
    "compare_code_3": "Ambos son bosque",
    "compare_matrix_caption": "Hectáreas reales según lo que dice cada mapa",
    "compare_this": "Este mapa",
    "compare_other": "El otro mapa",
    "compare_forest": "bosque",
    "compare_non_forest": "no bosque",
    "compare_no_data": "sin datos",
    "compare_accuracy": "¿Cuál de los dos acierta?",
    "compare_judged": "De los {drawn} puntos de la muestra de {month}, {points} tienen una "
    "etiqueta que cuenta y están donde ambos mapas saben algo. Los dos mapas se juzgan con esos "
    "mismos puntos. Según ellos, {forest} ± {error} ha de la superficie muestreada son bosque.",
    "compare_unjudged": "Hay una muestra etiquetada, pero tiene demasiado pocos puntos donde ambos "
    "mapas saben algo: con ella no se puede estimar la exactitud de los dos.",
    "compare_no_sample": "Que coincidan no dice cuál acierta. Para saberlo, sortee puntos del mapa "
    "de un mes, haga que los etiqueten personas e incorpore las etiquetas (flows/draw_sample.py y "
    "flows/estimate_areas.py); después, compare de nuevo.",
    "compare_accuracy_caption": "Exactitud en bosque y no bosque, en porcentaje; ± es la mitad del "
    f"intervalo de confianza del 95{NARROW}%",
    "compare_which": "Mapa",
    "compare_overall": "Exactitud global",
    "compare_users": "De su bosque, es bosque (exactitud del usuario)",
    "compare_producers": "Del bosque, está en él (exactitud del productor)",
    "compare_reading": "Cómo leer esto",
    "compare_reading_1": "Donde dos mapas difieren, uno de ellos se equivoca, o entienden por "
    "bosque cosas distintas, o son de años distintos. Consulte qué cuenta el otro mapa como "
    "bosque: algunos cuentan las plantaciones y la palma aceitera, otros solo lo más denso o lo "
    "más alto.",
    "compare_reading_2": "Del otro mapa cuentan como bosque estos valores de la banda {band}: "
    "{forest}. Cuentan como sin datos: {no_data}.",
    "compare_declared": "los que declara su archivo",
    "compare_nothing": "ninguno",
    "compare_reading_3": "Cada píxel de este mapa ({ours} m) recibe lo que el otro mapa dice en su "
    "centro (píxeles de {theirs} m). Donde los píxeles son de distinto tamaño, los bordes difieren "
    "hasta en la mitad del mayor, y ya eso hace que dos mapas acertados no coincidan.",
    "compare_reading_4": "Las nubes, las sombras y todo lo que tapa el terreno, y los lugares que "
    "un mapa no cubre, son sin datos y no cuentan para ninguno.",
    "compare_absent": "Estos códigos de bosque no aparecen en {name} en el área de interés: "
    "{codes}. Si sorprende, consúltelos en su leyenda.",
    "compare_all_forest": "Todo lo que {name} dice del área de interés es bosque. Probablemente su "
    "archivo declara como sin datos el valor de lo que no es bosque: si es así, compare de nuevo "
    "con --no_data none.",
    "compare_little": "{name} no dice nada del {share} de la superficie que conoce este mapa: vea "
    "si cubre toda el área y si es correcto lo que cuenta como sin datos (--no_data).",
}
