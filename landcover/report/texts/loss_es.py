"""What the page about deforestation says in Spanish."""

from collections.abc import Mapping

LOSS_SPANISH: Mapping[str, str] = {
    "loss_report": "Informe de deforestación",
    "loss_title": "Deforestación hasta {month}",
    "loss_new": "Nuevo este mes",
    "loss_alerts_one": "{count} alerta",
    "loss_alerts_many": "{count} alertas",
    "loss_confirmed": "Pérdida confirmada",
    "loss_warnings": "Avisos, aún no seguros",
    "loss_not_seen": "No visto este mes",
    "loss_since": "desde {month}",
    "loss_lead_none": "En {month} no se encontró ninguna pérdida nueva de bosque.",
    "loss_lead_new": "En {month}, las alertas nuevas cubren {hectares} ha de lo que era bosque. "
    "Son avisos hasta que los meses siguientes los confirmen o los retiren.",
    "loss_no_warnings": "Ninguna: no se comunicó nada mientras se comparaba este mes.",
    "loss_rejected": "Se han rechazado {count} alertas: no cuentan en ninguna cifra de esta "
    "página.",
    "loss_map": "El bosque, y dónde cayó",
    "loss_map_caption": "Lo que se sabe de cada lugar hasta este mes. Contornos o puntos: alertas. "
    "Línea negra: área de interés.",
    "loss_map_alt": "Mapa del bosque y de {count} alertas hasta {month}.",
    "loss_areas_caption": "Superficie real de todos los píxeles, también de los que están en "
    "manchas menores que una alerta",
    "loss_chart": "Hectáreas perdidas por mes",
    "loss_chart_caption": "Hectáreas de las alertas por el mes que las detectó primero. Los avisos "
    "de los últimos meses aún pueden confirmarse o retirarse.",
    "loss_chart_alt": "Gráfico de barras de hectáreas por mes de la primera detección: {confirmed} "
    "ha confirmadas y {warnings} ha de avisos.",
    "loss_largest": "Las alertas más grandes",
    "loss_largest_caption": "De los últimos doce meses; las coordenadas son longitud y latitud, "
    "WGS 84, de un punto interior",
    "loss_largest_none": "No hay ninguna alerta de los últimos doce meses.",
    "loss_number": "N.º",
    "loss_state": "Estado",
    "loss_first": "Detectada",
    "loss_probability": "Probabilidad",
    "loss_place": "Longitud, latitud",
    "loss_state_warning": "Aviso",
    "loss_state_confirmed": "Confirmada {month}",
    "loss_pair": "N.º {number}: {hectares} ha",
    "loss_before": "Antes: {month}",
    "loss_after": "Después: {month}",
    "loss_no_picture": "Las imágenes de {month} ya no están.",
    "loss_never_before": "Antes no se vio despejado con bosque.",
    "loss_picture_alt": "Imagen de satélite de {month} alrededor de la alerta {number}, con su "
    "contorno.",
    "loss_unseen": "Lo que no se vio, y desde cuándo",
    "loss_unseen_caption": "Hectáreas del área de interés por el último mes que las vio sin nubes, "
    "sombra ni neblina",
    "loss_last_seen": "Visto despejado por última vez",
    "loss_this_month": "este mes",
    "loss_1": "hace un mes",
    "loss_3": "hace dos o tres meses",
    "loss_6": "hace cuatro a seis meses",
    "loss_12": "hace siete a doce meses",
    "loss_more": "hace más de doce meses",
    "loss_never": "nunca",
    "loss_reading": "Cómo leerlo",
    "loss_reading_1": "Cada mapa mensual es una evidencia: dice si un lugar es bosque y cuán "
    "seguro está de ello. Un mes con nubes, sombra o neblina no dice nada.",
    "loss_reading_2": "El primer mes que no muestra bosque donde se sabía que lo había abre un "
    "aviso. Los meses siguientes suben o bajan su probabilidad, por la regla de Bayes: se confirma "
    "con {threshold}, y se retira por debajo del 50\N{NARROW NO-BREAK SPACE}% o pasados {within} "
    "meses.",
    "loss_reading_3": "Una alerta es una mancha de tales lugares de al menos {smallest} ha. Mire "
    "las imágenes, o vaya al lugar, antes de actuar por un aviso.",
    "loss_reading_4": "Las hectáreas son las de las alertas. Se cuentan en el mapa; no son una "
    "estimación con un error conocido. Esta se obtiene de puntos sorteados y etiquetados por "
    "personas (flows/draw_sample.py y flows/estimate_areas.py, --of deforestation).",
    "loss_status_0": "No bosque",
    "loss_status_1": "Bosque",
    "loss_status_2": "Aviso",
    "loss_status_3": "Pérdida confirmada",
    "loss_status_254": "Aún no se sabe",
}
