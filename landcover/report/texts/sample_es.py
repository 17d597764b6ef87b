"""What the page on which points are labelled says in Spanish."""

from collections.abc import Mapping

SAMPLE_SPANISH: Mapping[str, str] = {
    "sample_report": "Muestra de referencia",
    "sample_title": "¿Qué hay en estos puntos? {month}",
    "sample_loss_title": "¿Dónde cayó el bosque? De {first} a {last}",
    "sample_lead": "Se sortearon {count} puntos. De cada uno, diga qué cubre la mayor parte del "
    "pequeño cuadrado en el centro de las imágenes, en {month}.",
    "sample_loss_lead": "Se sortearon {count} puntos. De cada uno, diga qué fue del pequeño "
    "cuadrado en el centro de las imágenes, de {first} a {last}.",
    "sample_how": "Juzgue por lo que ve y por lo que sabe del lugar. Si no puede saberlo, deje el "
    "punto sin etiqueta: adivinar es peor que dejar un vacío. La página no dice qué muestra el "
    "mapa ahí, para que su etiqueta no dependa de él: por favor, no mire el mapa mientras tanto.",
    "sample_saving": "Este navegador conserva sus etiquetas al cerrar la página; otro navegador u "
    "otra computadora no las conoce. Guarde el archivo al terminar, y de vez en cuando: es lo que "
    "flows/estimate_areas.py recibe como --labels.",
    "sample_save": "Guardar las etiquetas",
    "sample_labelled": "puntos tienen etiqueta, de {count}",
    "sample_not_kept": "Este navegador no conserva sus etiquetas: guarde el archivo antes de "
    "cerrar la página.",
    "sample_point": "Punto {id}",
    "sample_no_label": "Sin etiqueta",
    "sample_marked": "El cuadrado es un píxel del mapa; las imágenes tienen {metres} m de ancho.",
    "sample_picture_alt": "Imagen satelital alrededor del punto {id} en {month}.",
    "sample_no_imagery": "{month}: aquí no hay imagen válida.",
    "sample_none_there": "Las imágenes de estos meses ya no están, de modo que no se muestran.",
    "sample_loss": "Pérdida: bosque que cayó",
    "sample_forest": "Bosque en pie",
    "sample_non_forest": "No era bosque desde el principio",
}
