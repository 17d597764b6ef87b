"""What the report says, in each of its languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from landcover.imagery.radiometry import Difference, ImageryWarning

Language = Literal["en", "es"]

# Neither a line nor a cell may break within a number and its unit.
NARROW, FIXED = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"

NONE = "\N{EN DASH}"

# Shares smaller than what one decimal shows are said to be smaller, not nothing.
SMALLEST_SHARE = 0.0005

MONTHS: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
    "es": (
        "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
        "octubre", "noviembre", "diciembre",
    ),
}  # fmt: skip

CLASS_NAMES: Mapping[Language, Mapping[str, str]] = {
    "en": {},
    "es": {
        "Forest": "Bosque",
        "Non-Forest": "No bosque",
        "Cloud": "Nube",
        "Shadow": "Sombra",
        "Water": "Agua",
        "Haze": "Neblina",
        "Sensor Error": "Error del sensor",
    },
}

# What callers name things by: shares, provenance, and how the model was validated. Other names are
# shown as they are.
TERMS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "whole polygons held out": "whole polygons held out",
        "whole blocks of": "whole blocks of",
        "held out": "held out",
        "aoi": "Area of interest",
        "bands": "Bands",
        "classes": "Classes",
        "code_version": "Code version",
        "command": "Command",
        "confidence": "Confidence map",
        "date": "Date",
        "files": "Files",
        "flow_run_id": "Flow run",
        "forest": "Random forest",
        "map": "Map",
        "model": "Model",
        "mosaic": "Mosaic",
        "path": "Path",
        "polygons": "Training polygons",
        "samples": "Samples",
        "sampling": "Sampling",
        "settings": "Settings",
        "sha256": "SHA-256",
        "validation": "Validation",
        "versions": "Versions",
    },
    "es": {
        "whole polygons held out": "polígonos enteros reservados",
        "whole blocks of": "bloques enteros de",
        "held out": "reservados",
        "aoi": "Área de interés",
        "bands": "Bandas",
        "classes": "Clases",
        "code_version": "Versión del código",
        "command": "Orden",
        "confidence": "Mapa de confianza",
        "date": "Fecha",
        "files": "Archivos",
        "flow_run_id": "Ejecución del flujo",
        "forest": "Bosque aleatorio (random forest)",
        "map": "Mapa",
        "model": "Modelo",
        "mosaic": "Mosaico",
        "path": "Ruta",
        "polygons": "Polígonos de entrenamiento",
        "samples": "Muestras",
        "sampling": "Muestreo",
        "settings": "Configuración",
        "sha256": "SHA-256",
        "validation": "Validación",
        "versions": "Versiones",
    },
}

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "month": "{month} {year}",
        "report": "Monthly land-cover report",
        "title": "Land cover in {month}",
        "summary": "Summary",
        "accuracy": "Overall accuracy",
        "standard_error": "standard error ±{error} percentage points",
        "not_estimated": "not estimated",
        "accuracy_meaning": "Of every 100 pixels in training areas that the model had not seen, "
        "about {right} were given the right class.",
        "accuracy_missing": "The accuracy of this map could not be estimated: no class has enough "
        "training polygons to set some aside for testing.",
        "mapped": "Area mapped",
        "mapped_of": "of an area of interest of {hectares} ha",
        "without_imagery": "Without imagery",
        "share_of_aoi": "of the area of interest",
        "warnings": "Warnings",
        "warnings_one": "see below",
        "warnings_many": "see below",
        "warnings_none": "nothing to report",
        "no_warnings": "None: nothing was reported while this map was made.",
        "warnings_title": "Warnings and gaps",
        "warning_month": "The mosaic {mosaic} differs from that of {month} ({origin}) as no season "
        "or haze makes it: {found}; unless clouds hide almost all of one of the two, check the "
        "scale, the offset and the order of the bands (MOSAIC_BANDS) in the image files of both "
        "before trusting the map.",
        "warning_samples": "The mosaic {mosaic} differs from the samples that the model learns "
        "from: {found}; either they were taken from other imagery or some image files are scaled "
        "otherwise than the rest, so check the files and sample them again before trusting the "
        "map.",
        "warning_range": "Many pixels of the mosaic {mosaic} lie outside the range of the samples "
        "that the model learns from, where it has nothing to go by: {found}; draw polygons on such "
        "ground (clouds too) or, if the samples were taken from other imagery, sample this.",
        "higher": "all bands are about {shift} higher ({bands})",
        "lower": "all bands are about {shift} lower ({bands})",
        "shifted": "{band}, median {ours} against {theirs}",
        "bright": "{band} is about {factor} times as bright (median {ours} against {theirs})",
        "dark": "{band} is about {factor} times as dark (median {ours} against {theirs})",
        "beyond": "{share} in {band}",
        "gaps_reading": "{share} of the area of interest has no class: there is no valid imagery.",
        "gaps_caption": "Parts of the area of interest without imagery, by the image file that is "
        "missing or empty there",
        "gap": "Image file",
        "doubtful": "On {share} of the map fewer than half of the model's decision trees agree.",
        "maps": "Maps",
        "map": "Land cover",
        "map_caption": "Land-cover classes. Hatched: inside the area of interest, but without "
        "valid imagery. Black line: area of interest.",
        "map_alt": "Map of land cover in {month}. Largest classes: {classes}.",
        "image": "Satellite image and training polygons",
        "image_caption": "The month's mosaic in true colour, stretched for display. Outlines or "
        "dots: training polygons, in the colour of their class.",
        "image_alt": "True-colour satellite image of {month} with {count} training polygons.",
        "confidence": "Confidence",
        "confidence_caption": "How sure the model is of the class shown, from 0 to 100 %.",
        "confidence_alt": "Map of the model's confidence in {month}, from 0 to 100 %.",
        "confidence_reading": "Confidence is the share of the model's decision trees that agree on "
        "the class. Low values mark places that resemble several classes, such as the edges of "
        "clouds and of forest: check them before acting on the map. Confidence is not accuracy.",
        "legend": "Legend",
        "no_imagery": "No valid imagery",
        "aoi": "Area of interest",
        "scale": "Scale bars are in true ground distance at the centre of the map. Coordinates "
        "are longitude and latitude, WGS 84.",
        "west": "W",
        "east": "E",
        "south": "S",
        "north": "N",
        "areas": "Area of each class",
        "areas_caption": "True area on the WGS 84 ellipsoid",
        "class": "Class",
        "hectares": "Hectares",
        "share": "Share",
        "total": "Total",
        "areas_alt": "Bar chart of the hectares of each class: {classes}.",
        "areas_note": "Areas are counted on the map and are not corrected for classification "
        "errors.",
        "quality": "Accuracy of each class",
        "quality_caption": "Validation with {validation}, in {folds} folds; ± standard error over "
        "folds",
        "quality_caption_none": "Training data of each class; nothing could be validated",
        "precision": "Precision (%)",
        "recall": "Recall (%)",
        "f1": "F1 (%)",
        "pixels": "Pixels",
        "polygons": "Polygons",
        "quality_alt": "Chart of precision, recall and F1 of each class with standard errors; the "
        "values are in the table above.",
        "macro_f1": "Macro F1 (mean over classes): {value}.",
        "quality_reading": "Precision: of the pixels mapped as the class, the share that truly "
        "are. Recall: of the pixels that truly are of the class, the share mapped so. F1 combines "
        "both.",
        "not_validated": "Too few training polygons to validate: {classes}.",
        "random": "With single pixels set aside instead, the accuracy would seem to be "
        "{accuracy}, a difference of {optimism} percentage points. That difference is optimism: "
        "pixels of one polygon resemble each other, so the model would be tested on what it has "
        "all but seen. The figure to trust is {honest}.",
        "oob": "The forest's out-of-bag accuracy, {value}, is tested on single pixels too.",
        "confusion": "Which classes are confused",
        "confusion_caption": "Validation pixels by true class (rows) and mapped class (columns). "
        "The darker a cell, the larger its share of the row: green is right, red is wrong.",
        "true_class": "True class",
        "mapped_class": "Mapped class",
        "mislabels": "Training polygons to check",
        "mislabels_caption": "Polygons that the model, trained without them, contradicts. Either "
        "the label is mistaken or the place is unusual.",
        "mislabels_none": "None: the model contradicts no training polygon.",
        "mislabels_more": "And {count} more, which the model's metrics list.",
        "polygon": "Polygon",
        "drawn_as": "Drawn as",
        "looks_like": "Looks like",
        "share_of_pixels": "Share of its pixels",
        "provenance": "How this was made",
        "provenance_caption": "Files, settings and versions behind this report",
        "bar_axis": "hectares",
        "confidence_axis": "confidence (%)",
    },
    "es": {
        "month": "{month} de {year}",
        "report": "Informe mensual de cobertura del suelo",
        "title": "Cobertura del suelo en {month}",
        "summary": "Resumen",
        "accuracy": "Exactitud global",
        "standard_error": "error estándar ±{error} puntos porcentuales",
        "not_estimated": "no estimada",
        "accuracy_meaning": "De cada 100 píxeles de áreas de entrenamiento que el modelo no había "
        "visto, unos {right} recibieron la clase correcta.",
        "accuracy_missing": "No se pudo estimar la exactitud de este mapa: ninguna clase tiene "
        "suficientes polígonos de entrenamiento para reservar algunos como prueba.",
        "mapped": "Superficie cartografiada",
        "mapped_of": "de un área de interés de {hectares} ha",
        "without_imagery": "Sin imagen",
        "share_of_aoi": "del área de interés",
        "warnings": "Advertencias",
        "warnings_one": "véase abajo",
        "warnings_many": "véanse abajo",
        "warnings_none": "nada que señalar",
        "no_warnings": "Ninguna: no se informó de nada mientras se hacía este mapa.",
        "warnings_title": "Advertencias y vacíos",
        "warning_month": "El mosaico {mosaic} difiere del de {month} ({origin}) como no lo "
        "explican ni la estación ni la neblina: {found}; salvo que las nubes oculten casi todo uno "
        "de los dos, compruebe la escala, el desplazamiento y el orden de las bandas "
        "(MOSAIC_BANDS) en los archivos de imagen de ambos antes de fiarse del mapa.",
        "warning_samples": "El mosaico {mosaic} difiere de las muestras de las que aprende el "
        "modelo: {found}; o bien se tomaron de otras imágenes, o bien algunos archivos de imagen "
        "tienen otra escala que el resto: compruebe los archivos y tome las muestras de nuevo "
        "antes de fiarse del mapa.",
        "warning_range": "Muchos píxeles del mosaico {mosaic} quedan fuera del rango de las "
        "muestras de las que aprende el modelo, donde no tiene en qué apoyarse: {found}; dibuje "
        "polígonos en ese tipo de terreno (también nubes) o, si las muestras se tomaron de otras "
        "imágenes, tómelas de estas.",
        "higher": "todas las bandas son unos {shift} más altas ({bands})",
        "lower": "todas las bandas son unos {shift} más bajas ({bands})",
        "shifted": "{band}, mediana {ours} frente a {theirs}",
        "bright": "{band} es unas {factor} veces más brillante (mediana {ours} frente a {theirs})",
        "dark": "{band} es unas {factor} veces más oscura (mediana {ours} frente a {theirs})",
        "beyond": "{share} en {band}",
        "gaps_reading": "El {share} del área de interés no tiene clase, por falta de imagen "
        "válida.",
        "gaps_caption": "Partes del área de interés sin imagen, según el archivo de imagen que "
        "falta o está vacío",
        "gap": "Archivo de imagen",
        "doubtful": "En el {share} del mapa coinciden menos de la mitad de los árboles de decisión "
        "del modelo.",
        "maps": "Mapas",
        "map": "Cobertura del suelo",
        "map_caption": "Clases de cobertura del suelo. Rayado: dentro del área de interés, pero "
        "sin imagen válida. Línea negra: área de interés.",
        "map_alt": "Mapa de cobertura del suelo en {month}. Clases mayores: {classes}.",
        "image": "Imagen satelital y polígonos de entrenamiento",
        "image_caption": "El mosaico del mes en color verdadero, realzado para su visualización. "
        "Contornos o puntos: polígonos de entrenamiento, en el color de su clase.",
        "image_alt": "Imagen satelital en color verdadero de {month} con {count} polígonos de "
        "entrenamiento.",
        "confidence": "Confianza",
        "confidence_caption": "Cuán seguro está el modelo de la clase mostrada, de 0 a 100 %.",
        "confidence_alt": "Mapa de la confianza del modelo en {month}, de 0 a 100 %.",
        "confidence_reading": "La confianza es la proporción de los árboles de decisión del modelo "
        "que coinciden en la clase. Los valores bajos señalan lugares que se parecen a varias "
        "clases, como los bordes de las nubes y del bosque: conviene verificarlos antes de actuar "
        "según el mapa. La confianza no es la exactitud.",
        "legend": "Leyenda",
        "no_imagery": "Sin imagen válida",
        "aoi": "Área de interés",
        "scale": "Las escalas gráficas indican la distancia real sobre el terreno en el centro del "
        "mapa. Las coordenadas son longitud y latitud, WGS 84.",
        "west": "O",
        "east": "E",
        "south": "S",
        "north": "N",
        "areas": "Superficie de cada clase",
        "areas_caption": "Superficie real sobre el elipsoide WGS 84",
        "class": "Clase",
        "hectares": "Hectáreas",
        "share": "Proporción",
        "total": "Total",
        "areas_alt": "Gráfico de barras de las hectáreas de cada clase: {classes}.",
        "areas_note": "Las superficies se cuentan en el mapa y no están corregidas por errores de "
        "clasificación.",
        "quality": "Exactitud de cada clase",
        "quality_caption": "Validación con {validation}, en {folds} particiones; ± error estándar "
        "entre particiones",
        "quality_caption_none": "Datos de entrenamiento de cada clase; nada se pudo validar",
        "precision": "Precisión (%)",
        "recall": "Sensibilidad (%)",
        "f1": "F1 (%)",
        "pixels": "Píxeles",
        "polygons": "Polígonos",
        "quality_alt": "Gráfico de precisión, sensibilidad y F1 de cada clase con errores "
        "estándar; los valores están en la tabla anterior.",
        "macro_f1": "F1 macro (media de las clases): {value}.",
        "quality_reading": "Precisión: de los píxeles cartografiados como la clase, la proporción "
        "que de verdad lo son. Sensibilidad: de los píxeles que de verdad son de la clase, la "
        "proporción cartografiada así. F1 combina ambas.",
        "not_validated": "Con muy pocos polígonos de entrenamiento para validarse: {classes}.",
        "random": "Si en su lugar se reservaran píxeles sueltos, la exactitud parecería ser "
        "{accuracy}, una diferencia de {optimism} puntos porcentuales. Esa diferencia es "
        "optimismo: los píxeles de un polígono se parecen entre sí, de modo que el modelo se "
        "probaría con lo que casi ha visto. La cifra fiable es {honest}.",
        "oob": "La exactitud out-of-bag del bosque aleatorio, {value}, también se prueba con "
        "píxeles sueltos.",
        "confusion": "Qué clases se confunden",
        "confusion_caption": "Píxeles de validación por clase verdadera (filas) y clase "
        "cartografiada (columnas). Cuanto más oscura una celda, mayor su proporción de la fila: "
        "verde es acierto, rojo es error.",
        "true_class": "Clase verdadera",
        "mapped_class": "Clase cartografiada",
        "mislabels": "Polígonos de entrenamiento por revisar",
        "mislabels_caption": "Polígonos que el modelo, entrenado sin ellos, contradice. O bien la "
        "etiqueta es errónea, o bien el lugar es inusual.",
        "mislabels_none": "Ninguno: el modelo no contradice ningún polígono de entrenamiento.",
        "mislabels_more": "Y {count} más, que figuran en las métricas del modelo.",
        "polygon": "Polígono",
        "drawn_as": "Dibujado como",
        "looks_like": "Se parece a",
        "share_of_pixels": "Proporción de sus píxeles",
        "provenance": "Cómo se hizo",
        "provenance_caption": "Archivos, configuración y versiones detrás de este informe",
        "bar_axis": "hectáreas",
        "confidence_axis": "confianza (%)",
    },
}


@dataclass(frozen=True)
class Wording:
    """Texts, names and numbers as one language writes them.

    Attributes:
        language: which.
    """

    language: Language

    def say(self, key: str, **values: object) -> str:
        """Return a text of `TEXTS` with values put in."""
        return TEXTS[self.language][key].format(**values)

    def term(self, name: str) -> str:
        """Return what a caller's name for something is called, or the name where it has none."""
        return TERMS[self.language].get(name, name)

    def class_name(self, name: str) -> str:
        """Return the name of a class; only the fixed ones are translated."""
        return CLASS_NAMES[self.language].get(name, name)

    def month(self, year: int, month: int) -> str:
        """Return a month in words, such as "June 2025"."""
        return self.say("month", month=MONTHS[self.language][month - 1], year=year)

    def number(self, value: float, decimals: int = 0) -> str:
        """Return a number, such as 1,234.5 in English and 1.234,5 in Spanish."""
        text = f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
        return text.translate({44: ".", 46: ","}) if self.language == "es" else text

    def percent(self, share: float, decimals: int = 1) -> str:
        """Return a share as a percentage with its sign."""
        sign = f"{NARROW}%" if self.language == "es" else "%"
        if 0 < share < SMALLEST_SHARE:
            return f"<{FIXED}{self.number(0.1, 1)}{sign}"
        return f"{self.number(100 * share, decimals)}{sign}"

    def points(self, share: float) -> str:
        """Return a share in percentage points, without a sign."""
        return self.number(100 * share, 1)

    def hectares(self, value: float) -> str:
        """Return hectares without the unit."""
        return self.number(value, 1)

    def figure(self, value: float) -> str:
        """Return a reflectance or a factor with as many digits as matter, without grouping."""
        text = f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
        return text.replace(".", ",") if self.language == "es" else text

    def warning(self, warning: ImageryWarning) -> str:
        """Return what is wrong with a month's imagery, and what to do, as a sentence."""
        month, origin = warning.earlier
        found = (
            ", ".join(
                self.say("beyond", share=self.percent(share, 0), band=band)
                for band, share in warning.beyond.items()
            )
            if warning.difference is None
            else self.difference(warning.difference)
        )
        return self.say(
            f"warning_{warning.kind}",
            mosaic=warning.mosaic,
            month=month,
            origin=origin,
            found=found,
        )

    def difference(self, found: Difference) -> str:
        """Return in which bands and how much imagery differs."""
        medians = {
            band: {"band": band, "ours": self.figure(ours), "theirs": self.figure(theirs)}
            for band, (ours, theirs) in found.medians.items()
        }
        if found.shift is not None:
            return self.say(
                "higher" if found.shift > 0 else "lower",
                shift=self.figure(abs(found.shift)),
                bands="; ".join(self.say("shifted", **values) for values in medians.values()),
            )
        return ", ".join(
            self.say(
                "bright" if factor > 1 else "dark",
                factor=self.figure(max(factor, 1 / factor)),
                **medians[band],
            )
            for band, factor in found.factors.items()
        )

    def validation(self, text: str) -> str:
        """Return how a model was validated, as `landcover.model.validation` says it in English."""
        size = text.removeprefix("whole blocks of ").removesuffix(" held out")
        if f"whole blocks of {size} held out" == text:
            return f"{self.term('whole blocks of')} {size} {self.term('held out')}"
        return self.term(text)
