"""What the pages say in Spanish about areas that are estimated from labelled points."""

from collections.abc import Mapping

from landcover.report.texts import NARROW

AREAS_SPANISH: Mapping[str, str] = {
    "estimated": "Superficies y exactitud, estimadas con puntos etiquetados",
    "estimated_quote": "En {month}, la clase {name} cubría {area} ha de las {total} ha "
    f"muestreadas, con un margen de ± {{error}} ha (confianza del 95{NARROW}%), según {{points}} "
    "puntos sorteados y etiquetados por personas. Contada solo en el mapa, son {mapped} ha.",
    "estimated_quote_unsure": "En {month}, la clase {name} cubría {area} ha de las {total} ha "
    "muestreadas, con un error que no se conoce, según {points} puntos sorteados y etiquetados por "
    "personas. Contada solo en el mapa, son {mapped} ha.",
    "estimated_loss": "De {first} a {last} se perdieron {area} ha de bosque, con un margen de ± "
    f"{{error}} ha (confianza del 95{NARROW}%), según {{points}} puntos sorteados y etiquetados "
    "por personas. Contadas solo en el mapa, son {mapped} ha.",
    "estimated_loss_unsure": "De {first} a {last} se perdieron {area} ha de bosque, con un error "
    "que no se conoce, según {points} puntos sorteados y etiquetados por personas. Contadas solo "
    "en el mapa, son {mapped} ha.",
    "estimated_overall": "De la superficie muestreada, el {overall} está "
    "cartografiado como lo que es: esa es la exactitud del mapa.",
    "estimated_caption": "Hectáreas que cuenta el mapa, junto a las estimadas; ± es la mitad del "
    f"intervalo de confianza del 95{NARROW}%",
    "estimated_mapped": "En el mapa (ha)",
    "estimated_area": "Estimadas (ha)",
    "estimated_users": "Exactitud del usuario (%)",
    "estimated_producers": "Exactitud del productor (%)",
    "estimated_total": "Todo, y exactitud global",
    "estimated_reading": "Exactitud del usuario: de la superficie cartografiada como la clase, la "
    "proporción que lo es. Exactitud del productor: de la superficie de la clase, la proporción "
    "cartografiada como tal. Un intervalo que pasa de 0 o del 100 % termina ahí.",
    "estimated_outside": "Se muestreó todo lo cartografiado salvo {hectares} ha ({what}).",
    "estimated_training": "polígonos de entrenamiento",
    "estimated_not_known": "aún sin saberse",
    "estimated_counts": "Puntos",
    "estimated_shares": "Proporción estimada de la superficie (%)",
    "estimated_ground": "Sobre el terreno",
    "estimated_on_map": "En el mapa",
    "estimated_known": "Lo que hay que saber de estas cifras",
    "estimated_nothing": "Todos los puntos sorteados tienen una etiqueta que cuenta.",
    "estimated_stale": "Se estimaron superficies con puntos de un mapa anterior de este mes "
    "(puntos etiquetados: {points}). No se muestran, porque el mapa se hizo de nuevo y es otro: "
    "sortee y etiquete puntos de este (flows/draw_sample.py).",
    "estimated_class_loss": "Pérdida de bosque",
    "estimated_class_forest": "Bosque en pie",
    "estimated_class_non-forest": "Sin bosque antes",
    "areas_unlabelled": "Puntos sin etiqueta: {count} de {drawn}. No cuentan: los demás del mismo "
    "estrato los representan, de modo que conviene etiquetarlos, sobre todo si faltan por ser "
    "difíciles.",
    "areas_flagged": "Puntos que marcaron quienes etiquetaban: {count} de {drawn}. No cuentan: los "
    "demás del mismo estrato los representan.",
    "areas_unclear": "Puntos en los que no se pudo ver qué son (nube, sombra u otra cosa que tapa "
    "el terreno): {count} de {drawn}. No cuentan: los demás del mismo estrato los representan.",
    "areas_tied": "Puntos en los que hay tantas respuestas para una clase como para otra: {count} "
    "de {drawn}. No cuentan: los demás del mismo estrato los representan.",
    "areas_unmapped": "Puntos sin clase en el otro mapa: {count} de {drawn}. No cuentan: los demás "
    "del mismo estrato los representan.",
    "areas_single": "El estrato {name} tiene un solo punto etiquetado, de modo que no se conoce "
    "ningún error de aquello en lo que interviene: etiquete más puntos suyos.",
    "areas_all_right": "Todos los {count} puntos son lo que dice el mapa. De ahí viene el ± 0: no "
    "significa que el mapa no tenga errores, sino que tan pocos puntos no encontraron ninguno.",
    "areas_never_found": "En ningún punto se encontró {name}, que cubre {hectares} ha en el mapa. "
    "Su estimación de 0 ha no significa que no haya nada, sino que tan pocos puntos no encontraron "
    "nada.",
    "areas_never_mapped": "En algunos puntos se encontró {name}, que el mapa no da a ningún punto: "
    "no se conoce su exactitud del usuario.",
    "areas_whole": "Todos los puntos ({count}) cartografiados como {name}, y ningún otro, lo son. "
    "De ahí viene el ± 0 de su superficie y de sus exactitudes: no significa que no haya errores, "
    "sino que tan pocos puntos no encontraron ninguno.",
    "areas_users_whole": "Todos los puntos ({count}) cartografiados como {name} lo son. De ahí "
    "viene el ± 0 de su exactitud del usuario: no significa que no haya errores, sino que tan "
    "pocos puntos no encontraron ninguno.",
    "areas_producers_whole": "Todos los puntos ({count}) en los que se encontró {name} están "
    "cartografiados así. De ahí viene el ± 0 de su exactitud del productor: no significa que no "
    "haya errores, sino que tan pocos puntos no encontraron ninguno.",
    "areas_wide": "El intervalo de {name} es más ancho que su superficie: la muestra solo dice que "
    "hay como mucho {hectares} ha. Etiquete más puntos para saber más.",
    "areas_few": "Solo {count} de los puntos cartografiados como {name}, o en los que se encontró, "
    "no son ambas cosas. Con menos de 15 de estos puntos, un intervalo del 95 % es a menudo "
    "demasiado estrecho: etiquete más puntos antes de fiarse de él.",
}
