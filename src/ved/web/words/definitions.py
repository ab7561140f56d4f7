"""What is said of definition files: how they are refused, what is left out of them, and what an assignment does."""

from typing import Final

from ved.web.words.catalogue import Table

PHRASES: Final[dict[str, Table]] = {
    # Why bits cannot be a signal.
    "fault": {
        "has {0:n} bits; a signal has 1 to {1:n}": "a {0:n} bits ; un signal en a de 1 à {1:n}",
        "lies past the {0:n} bytes of the longest frame": "dépasse les {0:n} octets de la plus longue trame",
        "has a number that is too large": "a un nombre trop grand",
    },
    # What does not fit together in a message.
    "unfit": {
        "depends on itself": "forme une boucle de multiplexeurs",
        "depends on {0}, which was set aside": "dépend de {0}, qui est mis de côté",
        "makes a float of {0:n} bits; only 16, 32 and 64 exist": (
            "fait un flottant de {0:n} bits ; seuls 16, 32 et 64 existent"
        ),
        "selects {0}, which is not marked as multiplexed": "sélectionne {0}, qui n’est pas marqué comme multiplexé",
        "is multiplexed, but its multiplexer is not there": (
            "a une marque de multiplexage, mais son multiplexeur n’existe pas"
        ),
        "lies past the {0:n} bytes of {1}; only longer frames have it": (
            "dépasse les {0:n} octets de {1} ; seules des trames plus longues ont ce signal"
        ),
    },
    "problem": {
        "{fault}": "{fault}",
        "{unfit}": "{unfit}",
        "is no DBC statement": "n’est pas une instruction DBC",
        "is not a well-formed {0} statement": "n’est pas une instruction {0} bien formée",
        "has an id of more than 29 bits": "a un identifiant de plus de 29 bits",
        "has an id of more than 11 bits": "a un identifiant de plus de 11 bits",
        "is longer than a frame ({0:n} bytes): it and its signals are set aside": (
            "décrit un message plus long qu’une trame ({0:n} octets) : il est mis de côté avec ses signaux"
        ),
        "has the id of {0}, which stands first": "a l’identifiant de {0}, qui vient en premier",
        "belongs to no message": "n’appartient à aucun message",
        "defines {0} a second time": "définit {0} une seconde fois",
        "names a signal that {0} does not have ({1})": "nomme un signal que {0} n’a pas ({1})",
        "names a message that is not there (id {0:n})": "nomme un message qui n’existe pas (identifiant {0:n})",
        # Rows of a table.
        "has {0} as id; write it in hex as 0x1F0 (29 bits: 0x1F0x), or as 496": (
            "a {0} pour identifiant ; écrivez-le en hexadécimal, 0x1F0 (29 bits : 0x1F0x), ou 496"
        ),
        "has {0} as multiplexer; write Signal=1 or Signal=1,4-7": (
            "a {0} pour multiplexeur ; écrivez Signal=1 ou Signal=1,4-7"
        ),
        "has no message name": "n’a pas de nom de message",
        "has {0:n} bytes; a frame has at most {1:n}": "a {0:n} octets ; une trame en a {1:n} au plus",
        "has the order {0}; write intel or motorola": "a l’ordre {0} ; écrivez intel ou motorola",
        "has the sign {0}; write unsigned, signed or float": "a le signe {0} ; écrivez unsigned, signed ou float",
        "has {0} as {1}; write a whole number": "a {0} pour {1} ; écrivez un nombre entier",
        "has {0} as {1}; write a number": "a {0} pour {1} ; écrivez un nombre",
        "has {0} among its values; write 0=Off; 1=On": "a {0} parmi ses valeurs ; écrivez 0=Off; 1=On",
    },
    "suffix": {one: one for one in (".kcd", ".sym", ".arxml", ".xlsx")},
    "format": {"KCD": "KCD", "SYM": "SYM", "ARXML": "ARXML"},
    "buses": {
        "none yet; give a number from 0 to 255": "aucun pour l’instant ; donnez un numéro de 0 à 255",
        "{0:d}": "{0:d}",
    },
    "taken": {
        "a message without a name: left out": "un message sans nom : laissé de côté",
        "a signal of {0} without a name: left out": "un signal de {0} sans nom : laissé de côté",
        "{0:l} is longer than a frame: left out": "{0:l} est plus long qu’une trame : laissé de côté",
        "{0:l} is a container of others: left out": "{0:l} contient d’autres messages : laissé de côté",
        "{0:l} is there twice: left out": "{0:l} y est deux fois : laissé de côté",
        "{0:l} {fault}: left out": "{0:l} {fault} : laissé de côté",
        "{0:l} {unfit}": "{0:l} {unfit}",
    },
    "loss": {
        "{taken}": "{taken}",
        "{0} is left out: {1} has its id, and a DBC describes one bus": (
            "{0} est laissé de côté : {1} a son identifiant, et un DBC décrit un seul bus"
        ),
        "the buses ({0}) are left out: a DBC describes one bus": (
            "les bus ({0}) sont laissés de côté : un DBC décrit un seul bus"
        ),
        "{0} is left out: nothing selects it": "{0} est laissé de côté : rien ne le sélectionne",
        "the limits 0 to 0 of {0} are left out: a DBC's [0|0] says that there are none": (
            "les limites de 0 à 0 de {0} sont laissées de côté : [0|0] dans un DBC dit qu’il n’y en a pas"
        ),
        "{0} loses line breaks or a backslash at its end": (
            "{0} perd des sauts de ligne, ou une barre oblique inverse à la fin"
        ),
    },
}

REFUSALS: Final[Table] = {
    "{0}: no CAN message in it; is it a DBC file?": "{0} : aucun message CAN dedans ; est-ce un fichier DBC ?",
    "{0}: no usable CAN message in it": "{0} : aucun message CAN utilisable dedans",
    "{0}: no usable CAN message in it; {taken}": "{0} : aucun message CAN utilisable dedans ; {taken}",
    "{0}: no usable CAN message in it; line {1:n} {problem} ({2})": (
        "{0} : aucun message CAN utilisable dedans ; la ligne {1:n} {problem} ({2})"
    ),
    "{0}: bus {1:n} does not exist; buses are numbered 0 to {2:n}": (
        "{0} : le bus {1:n} n’existe pas ; les bus sont numérotés de 0 à {2:n}"
    ),
    "{0}: unknown kind '.{1}; known are {2}": "{0} : type '.{1} inconnu ; les types connus sont {2}",
    "{0}: unknown kind '(no ending)'; known are {1}": "{0} : nom sans terminaison ; les types connus sont {1}",
    "{0}: {suffix} files need an extra; install it with: pip install 'ved[formats]'": (
        "{0} : les fichiers {suffix} demandent un complément ; installez-le : pip install 'ved[formats]'"
    ),
    "{0}: cannot be read as {format}: {1}": "{0} : illisible comme {format} : {1}",
    "{0}: larger than {1:n} MiB, so surely no definition file": (
        "{0} : plus de {1:n} Mio, ce n’est donc pas un fichier de définitions"
    ),
    "{0}: a binary file, or UTF-16 text; save it as UTF-8": (
        "{0} : fichier binaire, ou texte UTF-16 ; enregistrez-le en UTF-8"
    ),
    "{0}: its definitions are too long as a DBC": "{0} : ses définitions sont trop longues pour un DBC",
    "{0}: {1:t} messages; at most {2:t} are taken": "{0} : {1:t} messages ; {2:t} au plus sont acceptés",
    "{0}: {1:t} signals; at most {2:t} are taken": "{0} : {1:t} signaux ; {2:t} au plus sont acceptés",
    "{0}: line {1:n}: a name of {2:n} characters; at most {3:n}": (
        "{0} : ligne {1:n} : un nom de {2:n} caractères ; {3:n} au plus"
    ),
    "{0}: the first line must name the columns; missing: {1} (all columns: {2})": (
        "{0} : la première ligne doit nommer les colonnes ; il manque : {1} (toutes les colonnes : {2})"
    ),
    "{0}: line {1:n}: is no CSV table: {2}": "{0} : ligne {1:n} : ce n’est pas un tableau CSV : {2}",
    "{0}: {1:n} MiB unpacked; a signal table has at most {2:n}": (
        "{0} : {1:n} Mio une fois décompressé ; un tableau de signaux en a {2:n} au plus"
    ),
    "{0}: is no Excel workbook (.xlsx): {1}": "{0} : ce n’est pas un classeur Excel (.xlsx) : {1}",
    "{0}: more than {1:t} rows; a signal table has one row a signal": (
        "{0} : plus de {1:t} lignes ; un tableau de signaux a une ligne par signal"
    ),
    "{0}: takes more than {1:n} s to read": "{0} : la lecture prend plus de {1:n} s",
    "{0}: takes too long, or too much memory, to read": "{0} : la lecture prend trop de temps ou de mémoire",
    "{0}: needs too much memory to be read": "{0} : la lecture demande trop de mémoire",
    "{0}: no such DBC is stored": "{0} : aucun DBC de ce nom n’est stocké",
    "{0}: no DBC of {1}": "{0} : pas un DBC de {1}",
    "files: not base64": "files : pas du base64",
    "more than {0:n} MiB; definition files are smaller": (
        "plus de {0:n} Mio ; les fichiers de définitions sont plus petits"
    ),
    "bus '{0}': {1} has none of this name; known are {buses}": (
        "bus « {0} » : {1} n’en a pas de ce nom ; les bus connus : {buses}"
    ),
    "validity: it must begin before it ends": "validité : elle doit commencer avant de finir",
    "validity: no such time": "validité : cet instant n’existe pas",
    "dbc {0}: give 'recorded', 'now' or the number of an assignment of {1}": (
        "dbc {0} : donnez « recorded », « now » ou le numéro d’une affectation de {1}"
    ),
}

EFFECTS: Final[Table] = {
    "{0:n} new channels": "{0:n} nouvelles voies",
    "no channels": "aucune voie",
    "{0:n} channels end; the frames stay stored": "{0:n} voies se terminent ; les trames restent stockées",
    "its channels get new names": "ses voies changent de nom",
    "values stay": "les valeurs ne changent pas",
    "channel {0} ends": "la voie {0} se termine",
    "channel {0} is now {1}": "la voie {0} s’appelle maintenant {1}",
    "new channel {0}": "nouvelle voie {0}",
    "channel {0} has other values, in all of history": "la voie {0} a d’autres valeurs, dans tout l’historique",
    "none": "aucun",
}

LOSSES: Final[Table] = {"{loss}": "{loss}"}
