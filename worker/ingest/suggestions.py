"""Which column an unknown name of a file probably means: an option to say, never applied by itself.

Names of other languages are looked up in a table; ours are found by their beginning or a slip of
the pen.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence

from worker.ingest.header import (
    COLUMNS,
    STEM_ALIASES,
    Place,
    folded,
    is_plain_unit,
    reads,
)
from worker.ingest.units import (
    bracketed,
    own_unit,
    stem,
    trailing_units,
    unit_named,
    units_of,
)

LEAST_PREFIX = 4
"""So many letters make `Temp` or `Dist` a hint at a column."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_RATE = re.compile(r"/|\b(?:per|pro|par|por)\b", re.IGNORECASE)
_FUELS: Mapping[str, str] = {
    "diesel": "diesel dieselkraftstoff gazole gasoil gasoleo",
    "petrol": "benzin ottokraftstoff essence gasolina benzine",
}
_DATES = [
    "date",
    "datum",
    "tag",
    "lieferdatum",
    "leistungsdatum",
    "jour",
    "date_de_livraison",
    "fecha",
    "dia",
    "fecha_de_entrega",
    "dag",
    "leverdatum",
]
_TIMES = "time uhrzeit zeit heure hora tijd uur".split()  # noqa: SIM905 a table
# Columns in the order in which they are asked for -> names in English, German, French, Spanish and
# Dutch, without accents. A unit in the header decides among several columns.
_NAMES: Mapping[tuple[str, ...], str] = {
    ("timestamp",): """
        zeitpunkt zeitstempel datum_uhrzeit datum_zeit datum_und_uhrzeit
        horodatage date_heure date_et_heure
        fecha_hora fecha_y_hora marca_de_tiempo
        tijdstip tijdstempel datum_tijd datum_en_tijd""",
    ("supplier_id",): """
        carrier haulier vendor
        lieferant lieferanten_id lieferanten_nr lieferantennummer lieferantenname spediteur
        spedition frachtfuehrer dienstleister
        fournisseur id_fournisseur code_fournisseur nom_du_fournisseur nom_fournisseur transporteur
        prestataire
        proveedor id_proveedor id_de_proveedor codigo_de_proveedor nombre_del_proveedor
        transportista
        leverancier leverancier_id leveranciersnummer naam_leverancier vervoerder""",
    ("event_type",): """
        art vorgang vorgangsart taetigkeit aktivitaet leistungsart
        activite type_d_activite type_activite nature_de_l_activite
        actividad tipo_de_actividad
        activiteit soort soort_activiteit type_activiteit""",
    ("vehicle_type",): """
        fahrzeug fahrzeugtyp fahrzeugart
        vehicule type_de_vehicule type_vehicule
        vehiculo tipo_de_vehiculo tipo_vehiculo
        voertuig voertuigtype type_voertuig soort_voertuig""",
    ("vehicle_class",): """
        fahrzeugklasse
        classe_de_vehicule categorie_de_vehicule
        clase_de_vehiculo categoria_de_vehiculo
        voertuigklasse voertuigcategorie""",
    ("fuel_type", "fuel_litres", "fuel_kg"): """
        kraftstoff treibstoff
        carburant combustible carburante brandstof""",
    ("fuel_type",): """
        kraftstoffart kraftstofftyp antrieb antriebsart energietraeger
        type_de_carburant type_carburant
        tipo_de_combustible tipo_combustible
        brandstoftype brandstofsoort soort_brandstof""",
    ("fuel_litres", "fuel_kg"): """
        kraftstoffverbrauch kraftstoffmenge treibstoffverbrauch dieselverbrauch getankt tankmenge
        consommation_de_carburant consommation_carburant volume_de_carburant
        consumo_de_combustible consumo_combustible
        brandstofverbruik dieselverbruik getankte_liters
        """
    + " ".join(_FUELS.values()),
    ("fuel_litres", "fuel_kg", "energy_kwh"): "verbrauch consommation consumo verbruik",
    ("distance_km",): """
        mileage
        strecke entfernung distanz fahrstrecke fahrtstrecke wegstrecke gefahrene_strecke
        gefahrene_kilometer gefahrene_km gesamtstrecke kilometer
        distance distance_parcourue distance_totale kilometrage kilometres km_parcourus
        kilometres_parcourus
        distancia distancia_recorrida distancia_total kilometraje kilometros km_recorridos
        kilometros_recorridos
        afstand gereden_afstand gereden_kilometers gereden_km kilometers rijafstand""",
    ("planned_distance_km",): """
        geplant geplante_strecke geplante_entfernung geplante_kilometer geplante_km sollstrecke
        plankilometer plan_km soll_km
        distance_prevue distance_planifiee kilometres_prevus km_prevus
        distancia_prevista distancia_planificada kilometros_previstos km_previstos
        geplande_afstand geplande_kilometers geplande_km""",
    ("empty_km",): """
        leerfahrt leerkilometer leerstrecke leer_km leerkm
        kilometres_a_vide km_a_vide distance_a_vide
        kilometros_en_vacio km_en_vacio distancia_en_vacio
        lege_kilometers lege_km leegkilometers""",
    ("route_length", "distance_km"): """
        tourlaenge routenlaenge
        longueur_de_la_tournee longueur_tournee
        longitud_de_ruta longitud_de_la_ruta
        routelengte ritlengte""",
    ("load_kg",): """
        gewicht ladung last ladegewicht ladungsgewicht frachtgewicht gesamtgewicht zuladung fracht
        poids poids_charge poids_total charge chargement masse
        peso peso_total carga peso_de_la_carga
        lading laadgewicht totaalgewicht vracht""",
    ("vehicle_capacity_kg",): """
        nutzlast ladekapazitaet kapazitaet
        charge_utile capacite capacite_de_charge
        carga_util capacidad capacidad_de_carga
        laadvermogen laadcapaciteit capaciteit""",
    ("delivery_count",): """
        lieferungen zustellungen anzahl_lieferungen
        livraisons nombre_de_livraisons
        entregas numero_de_entregas
        leveringen aantal_leveringen""",
    ("stop_events",): """
        stopps halte anzahl_stopps
        arrets nombre_d_arrets
        paradas numero_de_paradas
        stops aantal_stops""",
    ("speed",): "geschwindigkeit vitesse vitesse_moyenne velocidad velocidad_media snelheid",
    ("temperature",): "temperatur temperatura temperatuur",
    ("energy_kwh",): """
        electricity power_consumption
        strom stromverbrauch elektrizitaet energie energieverbrauch
        electricite consommation_electrique consommation_d_electricite consommation_d_energie
        electricidad consumo_electrico consumo_de_electricidad energia consumo_de_energia
        stroom stroomverbruik elektriciteit elektriciteitsverbruik energieverbruik""",
    ("natural_gas_kwh",): """
        gas natural_gas
        erdgas gasverbrauch erdgasverbrauch
        gaz gaz_naturel consommation_de_gaz
        gas_natural consumo_de_gas
        aardgas gasverbruik aardgasverbruik""",
    ("heat_kwh",): """
        fernwaerme waerme
        chaleur reseau_de_chaleur
        calor calefaccion_urbana
        warmte stadswarmte""",
    ("output_quantity",): """
        ausbringung ausstoss produktionsmenge
        quantite_produite production
        cantidad_producida produccion
        productie geproduceerde_hoeveelheid""",
    ("throughput_t",): "durchsatz umschlag warenumschlag tonnage_traite tonelaje doorzet overslag",
    (
        "pallets",
    ): "paletten anzahl_paletten palettes nombre_de_palettes palets pales aantal_pallets",
    ("shift_hours",): "schichtstunden heures_d_equipe horas_de_turno ploeguren",
    ("country",): "land pays pais",
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    name: columns for columns, names in _NAMES.items() for name in names.split()
}
_FUEL_OF: Mapping[str, str] = {
    name: fuel for fuel, names in _FUELS.items() for name in names.split()
}


def suggestions(names: Sequence[str], places: Mapping[str, Place]) -> list[str]:
    """Say of the names that are ignored with which options they would be read."""
    found = _date_and_time(names, places)
    said = [_asked("+".join(found), ["timestamp"])] if found else []
    each = (suggestion(name, places) for name in names if name not in found)
    return [*said, *filter(None, each)]


def probable(names: Sequence[str], places: Mapping[str, Place]) -> dict[str, str]:
    """Give column -> name, as for `--map`, of the names that the table has for one column only."""
    found: dict[str, str] = {}
    if parts := _date_and_time(names, places):
        found["timestamp"] = "+".join(parts)
    for name in names:
        columns = _looked_up(name, places)
        if columns and len(columns) == 1:
            found.setdefault(columns[0], name)
    return found


def suggestion(name: str, places: Mapping[str, Place]) -> str | None:
    """Say with which option an ignored name would be read; None if it looks like no column."""
    if (columns := _looked_up(name, places)) is not None:
        said = _asked(name, columns, _unit(name)) if columns else None
        fuel = next((_FUEL_OF[plain] for plain in _plain(name) if plain in _FUEL_OF), None)
        return f"{said}; and --set fuel_type={fuel}" if said and fuel else said
    column, unit = _nearly(name, places)
    return None if column is None else _asked(name, [column], unit)


def _looked_up(name: str, places: Mapping[str, Place]) -> list[str] | None:
    """The columns of the table that the file does not have; None for a name that is not there."""
    wanted = next((_COLUMNS[plain] for plain in _plain(name) if plain in _COLUMNS), None)
    if wanted is None:
        return None
    unit = _unit(name)
    if unit is not None and _RATE.search(unit):
        return []  # litres in 100 km are no litres
    free = [column for column in wanted if column not in places]
    if unit is not None and unit_named(unit) is not None:
        return [column for column in free if reads(column, unit)][:1]
    return free


def _date_and_time(names: Sequence[str], places: Mapping[str, Place]) -> tuple[str, ...]:
    """The name of a date, or those of a date and its time, that are not read as such yet."""
    time = next((name for name in names if _is_one(name, _TIMES)), None)
    if (there := places.get("timestamp")) is not None:  # is it a date, and its time ignored?
        if time is None or len(there.indices) > 1 or not _is_one(there.title, _DATES):
            return ()
        return there.title, time
    date = next((name for name in names if _is_one(name, _DATES)), None)
    return tuple(name for name in (date, time) if name) if date else ()


def _is_one(name: str, words: Sequence[str]) -> bool:
    return any(spelling in words for spelling in _plain(name))


def _plain(name: str) -> list[str]:
    """The spellings under which the table may have a name: with its unit, and without."""
    parted = bracketed(name)
    bases = [parted[0]] if parted else [name, *(base for base, _ in trailing_units(name))]
    spelt = [
        spelling for base in map(folded, bases) for spelling in (base.translate(_UMLAUTS), base)
    ]
    return [_without_accents(spelling) for spelling in spelt]


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _unit(name: str) -> str | None:
    parted = bracketed(name) or next(trailing_units(name), None)
    if parted:
        return parted[1]
    return name if is_plain_unit(name) else None


def _nearly(name: str, places: Mapping[str, Place]) -> tuple[str | None, str | None]:
    """The column whose own name begins like this one or is nearly the same, and the unit."""
    parted = bracketed(name) or next(trailing_units(name), None)
    base, unit = (folded(parted[0]), parted[1]) if parted else (folded(name), None)
    base = STEM_ALIASES.get(base, base)
    free = [column for column in COLUMNS if column not in places]
    if unit is not None and unit_named(unit) is not None:
        free = [column for column in free if reads(column, unit)]
    names = {short: column for column in reversed(free) for short in (stem(column), column)}
    near = [name for name in free if f"{name}_".startswith(f"{base}_")]
    near += [name for name in free if f"{base}_".startswith(f"{name}_")]
    near += [name for name in free if len(base) >= LEAST_PREFIX and name.startswith(base)]
    near = near or difflib.get_close_matches(base, names, n=1, cutoff=0.8)
    near = near or difflib.get_close_matches(folded(name), names, n=1, cutoff=0.8)
    if not near and unit is None and is_plain_unit(name):
        unit, near = name, [column for column in free if reads(column, name)]  # `Litres`
    return (names.get(near[0], near[0]) if near else None), unit


def _asked(name: str, columns: Sequence[str], unit: str | None = None) -> str:
    """Ask whether a name means one of the columns, with the options that would say so."""
    column = columns[0]
    if len(columns) > 1:
        several = f"{', '.join(columns[:-1])} or {columns[-1]}"
        return f'is {name!r} {several}? Then say --map "{name}={column}", or which it is'
    asked = f'is {name!r} {column}? Then say --map "{name}={column}"'
    if not (known := units_of(column)) or unit_named(unit or "") == own_unit(column):
        return asked
    if unit is not None and reads(column, unit):
        return f"{asked}: its {unit} are converted"
    own = own_unit(column)
    if unit is not None and bracketed(name):
        return f"{asked} --units {column}={own}: {unit!r} is no unit of it ({', '.join(known)})"
    other = next(other for other in known if other != own)
    return f"{asked}, and the unit if it is not {own}, such as --units {column}={other}"
