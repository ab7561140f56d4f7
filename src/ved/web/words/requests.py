"""Refusals of requests: who asks, what is there, and what a body may be."""

from typing import Final

from ved.web.words.catalogue import Table

PEOPLE: Final[Table] = {
    "sign in first": "connectez-vous d’abord",
    "the token is not valid": "le jeton n’est pas valable",
    "this request did not come from the page itself": "cette requête ne vient pas de la page elle-même",
    "a guest link opens one session and nothing else": "un lien d’invité ouvre une session et rien d’autre",
    "this link does not show positions": "ce lien ne montre pas les positions",
    "this needs the role {role}": "il faut pour cela le rôle {role}",
    "the name '{0}' is taken; choose another": "le nom « {0} » est pris ; choisissez-en un autre",
    "say your name first: one signs in with name and password": (
        "dites d’abord votre nom : on se connecte avec un nom et un mot de passe"
    ),
    "too many wrong passwords; try again in {0:n} s": "trop de mots de passe faux ; réessayez dans {0:n} s",
    "the current password is another": "le mot de passe actuel est un autre",
    "one admin must stay; make somebody else admin first": (
        "il doit rester un administrateur ; donnez d’abord ce rôle à quelqu’un d’autre"
    ),
    "nobody has this number": "personne n’a ce numéro",
    "at most {0:n} open links; revoke some": "{0:n} liens ouverts au plus ; retirez-en",
    "no open link has this number": "aucun lien ouvert n’a ce numéro",
    "at most {0:n} workbooks for each person": "{0:n} classeurs au plus par personne",
    "no workbook of yours, and none that is shared, has this id": (
        "aucun de vos classeurs, ni des classeurs partagés, n’a cet identifiant"
    ),
    "this workbook was changed meanwhile: read it again first": (
        "ce classeur a été modifié entre-temps : relisez-le d’abord"
    ),
    "no note that you may take away has this id": "aucune note que vous pouvez supprimer n’a cet identifiant",
}

THINGS: Final[Table] = {
    "no session has this id": "aucune session n’a cet identifiant",
    "no vehicle has this name": "aucun véhicule n’a ce nom",
    "session {0}: there is none": "session {0} : introuvable",
    "track {0}: there is none": "circuit {0} : introuvable",
    "vehicle {0}: there is none": "véhicule {0} : introuvable",
    "maths channel {0}: there is none": "voie calculée {0} : introuvable",
    "a maths channel {0} is there already: give this one another name": (
        "il y a déjà une voie calculée {0} : donnez un autre nom à celle-ci"
    ),
    "track '{0}': there is none": "circuit '{0}' : introuvable",
    "session '{0}': there is none": "session '{0}' : introuvable",
    "session '{0}': {1} has none of this name": "session {0} : {1} n’en a pas de ce nom",
    "session '{0}': there is none; the newest are {newest}": "session {0} : introuvable ; les dernières : {newest}",
    "vehicle '{0}': there is none; known are {vehicles}": (
        "véhicule {0} : introuvable ; les véhicules connus : {vehicles}"
    ),
    "session {0}: the time of the cut must lie inside it": "session {0} : l’instant de la coupure doit être dedans",
    "session {0}: cannot be merged with itself": "session {0} : ne peut pas être réunie avec elle-même",
    "session {0}: is of {1}, and {2} of {3}; not to be merged": (
        "session {0} : elle est de {1}, et {2} de {3} ; elles ne se réunissent pas"
    ),
    "session {0}: lies between {1} and {2}; merge them one after the other": (
        "session {0} : elle est entre {1} et {2} ; réunissez-les l’une après l’autre"
    ),
    "session {0}: no channels of latitude and longitude, so no laps": (
        "session {0} : pas de voies de latitude et de longitude, donc pas de tours"
    ),
}

DATA: Final[Table] = {
    "format '{0}': known are {1}": "format « {0} » : les formats connus sont {1}",
    "format '{0}': there is none; known are {1}": "format « {0} » : introuvable ; les formats connus sont {1}",
    "format {0}: holds raw frames, all of them; leave the channels out": (
        "format {0} : contient toutes les trames brutes ; n’indiquez pas de voies"
    ),
    "{0}: cannot be written: {1}": "{0} : écriture impossible : {1}",
    "session {0}: no channels to export; assign a DBC, or export raw frames as candump": (
        "session {0} : aucune voie à exporter ; affectez un DBC, ou exportez les trames brutes en candump"
    ),
    "session {0}: has no lap {1:n}; it has {2:n} laps": "session {0} : n’a pas de tour {1:n} ; elle en a {2:n}",
    "session {0}: has nothing between {1:n} and {2:n} µs (UTC)": "session {0} : n’a rien entre {1:n} et {2:n} µs (UTC)",
    "rate {0}: give rows per second above 0 and at most a million": (
        "cadence {0} : donnez un nombre de lignes par seconde au-dessus de 0, un million au plus"
    ),
    "rate {0}: a MoTeC log has a whole number of rows per second; give --rate 100, say": (
        "cadence {0} : un fichier MoTeC a un nombre entier de lignes par seconde ; 100, par exemple"
    ),
    "{0}: would be over 4 GiB, more than a MoTeC log can hold; choose fewer channels": (
        "{0} : dépasserait 4 Gio, la limite d’un fichier MoTeC ; choisissez moins de voies"
    ),
    "{0}: writing MCAP files needs mcap; run `pip install 'ved[export]'`": (
        "{0} : écrire du MCAP demande mcap ; lancez `pip install 'ved[export]'`"
    ),
    "{0}: writing MATLAB files needs scipy; run `pip install 'ved[export]'`": (
        "{0} : écrire du MATLAB demande scipy ; lancez `pip install 'ved[export]'`"
    ),
    "from_us {0:n}, to_us {1:n}: the end must lie after the start": (
        "from_us {0:n}, to_us {1:n} : la fin doit venir après le début"
    ),
    "to_utc_us lies after from_utc_us, by at most 400 days": "to_utc_us vient après from_utc_us, de 400 jours au plus",
    "more than {0:n} MiB; nothing that is asked for here is so large": (
        "plus de {0:n} Mio ; rien de ce qui est demandé ici n’est aussi gros"
    ),
}

PHRASES: Final[dict[str, Table]] = {
    "role": {"viewer": "spectateur", "engineer": "ingénieur", "admin": "administrateur"},
    "vehicles": {"none": "aucun", "{0:l}": "{0:l}"},
    "newest": {"none at all": "aucune", "{0:l}": "{0:l}"},
    # What pydantic says of a body.
    "invalid": {
        "Field required": "champ obligatoire",
        "Extra inputs are not permitted": "ce champ n’existe pas",
        "Input should be a valid dictionary": "doit être un objet",
        "Input should be a valid dictionary or instance of {0}": "doit être un objet {0}",
        "Input should be a valid dictionary or object to extract fields from": "doit être un objet",
        "Input should be a valid list": "doit être une liste",
        "Input should be a valid tuple": "doit être une liste",
        "Input should be a valid string": "doit être un texte",
        "Input should be a valid number": "doit être un nombre",
        "Input should be a valid number, unable to parse string as a number": "doit être un nombre",
        "Input should be a finite number": "doit être un nombre fini",
        "Input should be a valid integer": "doit être un nombre entier",
        "Input should be a valid integer, unable to parse string as an integer": "doit être un nombre entier",
        "Input should be a valid integer, got a number with a fractional part": "doit être un nombre entier",
        "Input should be a valid boolean": "doit être true ou false",
        "Input should be a valid boolean, unable to interpret input": "doit être true ou false",
        "Input should be '{0}": "doit être '{0}",
        "Input should be greater than {0:n}": "doit être au-dessus de {0:n}",
        "Input should be greater than or equal to {0:n}": "doit être {0:n} au moins",
        "Input should be less than {0:n}": "doit être en dessous de {0:n}",
        "Input should be less than or equal to {0:n}": "doit être {0:n} au plus",
        "String should have at least {0:n} character": "doit avoir au moins {0:n} caractère",
        "String should have at least {0:n} characters": "doit avoir au moins {0:n} caractères",
        "String should have at most {0:n} character": "doit avoir {0:n} caractère au plus",
        "String should have at most {0:n} characters": "doit avoir {0:n} caractères au plus",
        "String should match pattern '{0}'": "doit être de la forme {0}",
        "{0:l} should have at least {1:n} item after validation, not {2:n}": (
            "doit avoir au moins {1:n} élément, et non {2:n}"
        ),
        "{0:l} should have at least {1:n} items after validation, not {2:n}": (
            "doit avoir au moins {1:n} éléments, et non {2:n}"
        ),
        "{0:l} should have at most {1:n} item after validation, not {2:n}": (
            "doit avoir {1:n} élément au plus, et non {2:n}"
        ),
        "{0:l} should have at most {1:n} items after validation, not {2:n}": (
            "doit avoir {1:n} éléments au plus, et non {2:n}"
        ),
        "{0:l} should have at most {1:n} items after validation, not more": "doit avoir {1:n} éléments au plus",
        "Invalid JSON: {0}": "JSON illisible : {0}",
        "JSON decode error": "JSON illisible",
        "Value error, more than {0:n} bytes": "plus de {0:n} octets",
        "Value error, not plain JSON": "pas du JSON simple",
    },
}

BODIES: Final[Table] = {"{invalid}": "{invalid}", "{0}: {invalid}": "{0} : {invalid}"}
