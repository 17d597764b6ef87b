"""What the report says in Spanish."""

from landcover.period import MONTH_NAMES
from landcover.report.texts import NARROW, Texts
from landcover.report.texts.annual_es import ANNUAL_SPANISH
from landcover.report.texts.areas_es import AREAS_SPANISH
from landcover.report.texts.compare_es import COMPARE_SPANISH
from landcover.report.texts.loss_es import LOSS_SPANISH
from landcover.report.texts.regions_es import REGIONS_SPANISH
from landcover.report.texts.sample_es import SAMPLE_SPANISH

SPANISH = Texts(
    months=MONTH_NAMES["es"],
    class_names={
        "Forest": "Bosque",
        "Non-Forest": "No bosque",
        "Cloud": "Nube",
        "Shadow": "Sombra",
        "Water": "Agua",
        "Haze": "Neblina",
        "Sensor Error": "Error del sensor",
    },
    terms={
        "band": "Banda",
        "code_version": "Versión del código",
        "command": "Orden",
        "flow_run_id": "Ejecución del flujo",
        "forest": "Bosque aleatorio (random forest)",
        "map": "Mapa",
        "maps": "Mapas",
        "model": "Modelo",
        "mosaic": "Mosaico",
        "no_data": "Sin datos",
        "other_map": "Otro mapa",
        "path": "Ruta",
        "rule": "Regla",
        "samples": "Muestras",
        "sampling": "Muestreo",
        "settings": "Configuración",
        "train_on": "Entrenado con",
        "taught_by": "Meses que enseñaron al modelo",
        "sha256": "SHA-256",
        "values_of_forest": "Valores de bosque",
        "versions": "Versiones",
    },
    texts={
        "month": "{month} de {year}",
        "report": "Informe mensual de cobertura del suelo",
        "title": "Cobertura del suelo en {month}",
        "summary": "Resumen",
        "accuracy": "Exactitud en polígonos reservados",
        "standard_error": "error estándar ±{error} puntos porcentuales",
        "not_estimated": "no estimada",
        "accuracy_meaning": "De cada 100 píxeles de áreas de entrenamiento que el modelo no había "
        "visto, unos {right} recibieron la clase correcta.",
        "accuracy_whose": "Es la exactitud en polígonos de entrenamiento, no la del mapa: los "
        "polígonos se dibujan donde la clase se ve con claridad, de modo que un mapa suele ser "
        "menos exacto que sus polígonos. La exactitud del mapa, y las superficies con un error "
        "conocido, se obtienen de puntos sorteados en él y etiquetados por personas "
        "(flows/draw_sample.py y luego flows/estimate_areas.py).",
        "accuracy_missing": "No se conoce la exactitud de este mapa: ninguna clase tiene polígonos "
        "de entrenamiento en dos lugares, para poder reservar uno como prueba.",
        "accuracy_unrecorded": "No se conoce la exactitud de este mapa: no consta ninguna con su "
        "modelo.",
        "mapped": "Superficie cartografiada",
        "mapped_of": "de un área de interés de {hectares} ha",
        "without_imagery": "Imágenes que faltan",
        "share_of_aoi": "del área de interés",
        "warnings": "Advertencias",
        "warnings_one": "véase abajo",
        "warnings_many": "véanse abajo",
        "warnings_none": "nada que señalar",
        "no_warnings": "Ninguna: no se informó de nada mientras se hacía este mapa.",
        "warnings_title": "Advertencias y vacíos",
        "warning_month": "El mosaico {mosaic} difiere del de {month} ({origin}) más de lo que "
        "explican la estación o la neblina: {found}; salvo que las nubes oculten casi todo uno "
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
        "static_undeclared": "La banda estática {band} de {origin} contiene {value} en {share} de "
        "lo que se tomó al azar del área de interés, lejos de todos sus demás valores, y nada lo "
        "declara como ausencia de datos: aun así se da una clase allí. Si significa que no hay "
        "datos, declárelo en los archivos, por ejemplo con `gdal_edit.py -a_nodata {value} FILE`, "
        "y ejecute el mes de nuevo.",
        "polygons_on_same_ground": "{count} de {polygons} polígonos de entrenamiento están en el "
        "mismo terreno que otros, por ejemplo {ids}, y se reservan junto con ellos: si se copiaron "
        "o se dibujaron dos veces, borre las copias.",
        "unlike_on_same_ground": "Hay polígonos de entrenamiento de clases distintas en el mismo "
        "terreno, por ejemplo {ids} (lugares: {count}): compruebe qué clase es la correcta; un "
        "píxel bajo varios polígonos cuenta solo para el primero de ellos.",
        "partial_nodata": "{hectares} hectáreas del mosaico {mosaic} no tienen dato en algunas de "
        "las bandas, pero sí en otras, y quedan sin clase: a menudo es agua tan oscura que su "
        "infrarrojo cercano es justo el valor que significa sin dato; si es así, retire ese valor "
        "(en los archivos de imagen con `gdal_edit.py -unsetnodata`, o MOSAIC_NODATA) y marque lo "
        "vacío con una máscara o una banda alfa.",
        "sources_outside": "El mosaico {mosaic} lee archivos que no están en {folder}, donde se "
        "buscan las imágenes: {files}; si no es lo que se quiere, haga de nuevo el VRT que los "
        "nombra.",
        "not_validated_at_all": "Nada se pudo validar, porque ninguna clase tiene polígonos de "
        "entrenamiento en dos lugares, de modo que no se conoce la exactitud del mapa: dibuje más "
        "polígonos.",
        "taught_by_others": "Ningún polígono de este mes enseñó al modelo que hizo este mapa: "
        "aprendió de los de {months}. La exactitud que se da es la de esos polígonos, no la de las "
        "imágenes de este mes: para conocerla, dibuje polígonos de este mes o etiquete puntos del "
        "mapa.",
        "month_left_out": "Aunque tiene polígonos de entrenamiento y está lo bastante cerca, "
        "{month} no enseña al modelo ({why}).",
        "pooled_unlike": "Las muestras de {month} difieren de las de los otros meses que enseñan "
        "al modelo más de lo que explican la estación o la bruma: compruebe que las imágenes de "
        "ese mes tienen la misma escala, o deje que enseñen meses que se parezcan.",
        "unseen_places": "El {share} del mapa está en lugares donde más de la cuarta parte de los "
        "píxeles son más oscuros o más claros que aquello de lo que aprendió el modelo, sobre todo "
        "alrededor de {where} (longitud, latitud): ahí no tiene en qué basarse, de modo que "
        "conviene mirar el mapa de esos lugares en el informe antes de fiarse de una clase, y "
        "dibujar polígonos en terreno así (también en nubes).",
        "class_lookalike": "La clase {name} es nueva y tiene el código {code}, pero su nombre se "
        "parece mucho a {others}, que ya tiene código: si son una sola clase, dé esa etiqueta a "
        "sus polígonos y procese el mes de nuevo.",
        "classes_alike": "La clase nueva {name} se parece mucho a {others}, que también es nueva: "
        "si son una sola clase, dé esa etiqueta a sus polígonos y procese el mes de nuevo.",
        "class_misread": "La clase nueva {name}, con el código {code}, parece ser {meant}, leída "
        "con otra codificación: guarde los polígonos de entrenamiento en UTF-8, por ejemplo en un "
        "GeoPackage, y procese el mes de nuevo.",
        "class_codes": "En meses anteriores la clase {name} recibió varios códigos, que difieren "
        "solo en la ortografía: este mapa tiene {code}, y los mapas que en su lugar tienen "
        "{others} muestran la misma clase.",
        "class_colours": "Hay clases del mismo color, porque solo {most} colores se distinguen a "
        "simple vista: distíngalas por sus códigos, o use menos etiquetas.",
        "higher": "todas las bandas son unos {shift} más altas ({bands})",
        "lower": "todas las bandas son unos {shift} más bajas ({bands})",
        "shifted": "{band}, mediana {ours} frente a {theirs}",
        "bright": "{band} es unas {factor} veces más brillante (mediana {ours} frente a {theirs})",
        "dark": "{band} es unas {factor} veces más oscura (mediana {ours} frente a {theirs})",
        "outside_range": "{share} en {band}",
        "without_class": "El {share} del área de interés no tiene clase, por falta de imagen "
        "válida.",
        "all_classes": "Toda el área de interés tiene clase.",
        "outside": "fuera de {name}",
        "more": "y {count} más",
        "gaps_caption": "Partes del área de interés sin imagen, según el archivo de imagen que "
        "falta o está vacío",
        "gap": "Archivo de imagen",
        "low_confidence": f"En el {{share}} del mapa la confianza es inferior al 50{NARROW}%.",
        "maps": "Mapas",
        "map": "Cobertura del suelo",
        "map_caption": "Clases de cobertura del suelo. Rayado: dentro del área de interés, pero "
        "sin imagen válida. Línea negra: área de interés.",
        "map_alt": "Mapa de cobertura del suelo en {month}. Clases mayores: {classes}.",
        "image": "Imagen satelital y polígonos de entrenamiento",
        "image_caption": "El mosaico del mes en color verdadero, realzado para su visualización; "
        "fuera del área de interés, en blanco, lo que no hizo falta leer. Contornos o puntos: "
        "polígonos de entrenamiento, en el color de su clase.",
        "image_alt": "Imagen satelital en color verdadero de {month} con {count} polígonos de "
        "entrenamiento.",
        "confidence": "Confianza",
        "confidence_caption": "Cuán seguro está el modelo de la clase mostrada, de 0 a 100 %.",
        "confidence_alt": "Mapa de la confianza del modelo en {month}, de 0 a 100 %.",
        "confidence_reading": "La confianza es la probabilidad que el modelo da a la clase "
        "mostrada: la media de lo que dicen sus árboles de decisión. Los valores bajos señalan "
        "lugares que se parecen a varias clases, como los bordes de las nubes y del bosque: "
        "conviene verificarlos antes de actuar según el mapa. La confianza no es la exactitud.",
        "unseen": "Dónde las imágenes no se parecen a aquello de lo que aprendió el modelo",
        "unseen_caption": "Proporción de píxeles, por cuadrados de {size} por {size} píxeles, que "
        "son más oscuros o más claros en alguna banda que casi todas las muestras.",
        "unseen_alt": "Mapa de cuánto de las imágenes de {month} queda fuera del intervalo de las "
        "muestras, por cuadrados.",
        "unseen_share": "Cerca del {share} del mapa queda fuera del intervalo de las muestras de "
        "las que aprendió el modelo.",
        "unseen_reading": "Ahí el modelo no tiene en qué basarse, y aun así da una clase. Algo de "
        "ello hay en todas partes: las muestras enseñan casi todo lo que hay, no todo. Donde un "
        "cuadrado es oscuro, no se fíe de sus clases antes de que haya polígonos de entrenamiento "
        "en terreno así, también en nubes.",
        "unseen_axis": "fuera de las muestras (%)",
        "learned_from": "El modelo aprendió de los polígonos de entrenamiento de {months}, cada "
        "mes sobre sus propias imágenes.",
        "carried_over": "En un mes que el modelo no ha visto",
        "carried_over_reading": "Cada mes se apartó entero, uno tras otro, y con él todo el "
        "terreno que sus polígonos comparten con otros meses. El modelo que había aprendido de los "
        "demás dio la clase correcta al {accuracy} de sus píxeles (F1 macro {macro_f1}; ± error "
        "estándar entre meses). Así de bien sirve para un mes sin polígonos; en polígonos "
        "apartados de meses que ha visto, es el {seen} (F1 macro {seen_f1}).",
        "carried_over_caption": "Cada mes, clasificado por un modelo que aprendió de los demás",
        "carried_over_month": "Mes apartado",
        "carried_over_accuracy": "Exactitud",
        "carried_over_f1": "F1 macro",
        "carried_over_none": "No se sabe cuán bien sirve el modelo para un mes que no ha visto: "
        "ninguna clase tiene polígonos en terrenos separados en dos meses.",
        "sieved": "En el {share} del mapa, manchas demasiado pequeñas tomaron la clase de lo que "
        "las rodea. No se conoce la confianza en esa clase, de modo que ahí no hay ninguna.",
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
        "held_out_polygons": "polígonos enteros reservados",
        "held_out_blocks": "bloques enteros de {size} reservados",
        "quality_caption": "Validación con {held_out}, en {folds} particiones; ± error estándar "
        "entre particiones",
        "quality_caption_none": "Datos de entrenamiento de cada clase; nada se pudo validar",
        "precision": "Precisión (%)",
        "recall": "Sensibilidad (%)",
        "f1": "F1 (%)",
        "pixels": "Píxeles",
        "polygons": "Polígonos",
        "quality_alt": "Gráfico de precisión, sensibilidad y F1 de cada clase con errores "
        "estándar; los valores están en la tabla anterior.",
        "macro_f1": "F1 macro (media de las clases que se pudieron validar): {value}.",
        "quality_reading": "Precisión: de los píxeles cartografiados como la clase, la proporción "
        "que de verdad lo son. Sensibilidad: de los píxeles que de verdad son de la clase, la "
        "proporción cartografiada así. F1 combina ambas.",
        "not_validated": "No se pudieron validar, por falta de polígonos de entrenamiento en dos "
        "lugares distintos: {classes}.",
        "random": "Si en su lugar se reservaran píxeles sueltos, la exactitud parecería ser "
        "{accuracy}, una diferencia de {optimism} puntos porcentuales. Esa diferencia es "
        "optimismo: los píxeles de un polígono se parecen entre sí, de modo que el modelo se "
        "probaría con lo que casi ha visto. Con polígonos enteros reservados es {honest}; ninguna "
        "de las dos es la exactitud de todo el mapa.",
        "random_same": "Si en su lugar se reservan píxeles sueltos, la exactitud es {accuracy}: no "
        "mejor, de modo que no debe nada a que los píxeles se parezcan entre sí.",
        "oob": "La exactitud out-of-bag del bosque aleatorio, {value}, también se prueba con "
        "píxeles sueltos.",
        "oob_alone": "La exactitud out-of-bag del bosque aleatorio, {value}, no sustituye a una "
        "validación: se prueba con píxeles sueltos, cuyos vecinos en el mismo polígono ha visto el "
        "modelo.",
        "confusion": "Qué clases se confunden",
        "confusion_caption": "Píxeles de validación por clase verdadera (filas) y clase "
        "cartografiada (columnas). Cuanto más oscura una celda, mayor su proporción de la fila: "
        "verde es acierto, rojo es error.",
        "true_class": "Clase verdadera",
        "mapped_class": "Clase cartografiada",
        "mislabels": "Polígonos de entrenamiento por revisar",
        "mislabels_caption": "Polígonos que el modelo, entrenado sin ellos, contradice. O bien la "
        "etiqueta es errónea, o bien el lugar es inusual.",
        "mislabels_none": "Ninguno: el modelo no contradice ninguno de los polígonos reservados.",
        "mislabels_more": "Y {count} más, que figuran en las métricas del modelo.",
        "polygon": "Polígono",
        "drawn_as": "Dibujado como",
        "looks_like": "Se parece a",
        "share_of_pixels": "Proporción de sus píxeles",
        "provenance": "Cómo se hizo",
        "provenance_caption": "Archivos, configuración y versiones detrás de este informe",
        "bar_axis": "hectáreas",
        "confidence_axis": "confianza (%)",
        "record_gap": "No hay mapa de {months}: lo que cayó entonces se vio después, o se verá.",
        "map_warned": "El mapa de {month} se hizo con advertencias ({count}), que su informe "
        "cuenta: léalas antes de actuar por las alertas de ese mes.",
        "much_fell": "Las alertas que trajo {month} cubren el {share} del bosque: rara vez cae "
        "tanto en un mes, pero la neblina o un mes con otra escala se le parecen; mire el mapa y "
        "las imágenes de ese mes, y espere a que el siguiente lo confirme.",
        "annual_gap": "No hay mapa de {months}: el mapa anual se basa en {count} de doce meses, y "
        "la tierra que estos no vieron queda sin datos; haga el mapa de los meses que faltan y "
        "hágalo de nuevo.",
        "annual_too_few": "La regla {rule} necesita {least} meses despejados y solo {count} del "
        "año tienen mapa: ningún píxel tiene clase; haga el mapa de más meses o elija otra regla "
        "(--rule).",
        "annual_warned": "El mapa de {month} se hizo con advertencias ({count}), que su informe "
        "cuenta: léalas antes de fiarse del mapa anual.",
        **LOSS_SPANISH,
        **ANNUAL_SPANISH,
        **AREAS_SPANISH,
        **COMPARE_SPANISH,
        **SAMPLE_SPANISH,
        **REGIONS_SPANISH,
    },
    thousands=".",
    decimal_mark=",",
    percent_sign=f"{NARROW}%",
)
