"""What the checks of DBC files find, and what they advise."""

from typing import Final

from ved.web.words.catalogue import Table

PHRASES: Final[dict[str, Table]] = {
    "quantity": {
        "a temperature": "une température",
        "a voltage": "une tension",
        "a pressure": "une pression",
        "an engine or motor speed": "un régime moteur",
        "a torque": "un couple",
    },
    "raw": {"unsigned bits": "bits non signés", "signed bits": "bits signés"},
    "bits": {"bit {0:n}": "le bit {0:n}", "{0:n} bits ({1:n} to {2:n})": "{0:n} bits ({1:n} à {2:n})"},
}

FINDINGS: Final[Table] = {
    "this line {problem}; it is left out": "cette ligne {problem} ; elle est laissée de côté",
    "this line {unfit}": "cette ligne {unfit}",
    "{0} and {1} (line {2:n}) of {3} share {bits}": "{0} et {1} (ligne {2:n}) de {3} se partagent {bits}",
    "{0} is marked as the multiplexer of {1}, but no signal depends on it": (
        "{0} est marqué comme multiplexeur de {1}, mais aucun signal n’en dépend"
    ),
    "{0} is in the frame when {1} is {2}, but that never is: it has {3:n} bits (0 to {4:n})": (
        "{0} est dans la trame quand {1} vaut {2}, ce qui n’arrive jamais : {1} a {3:n} bits (0 à {4:n})"
    ),
    "{0} of {1} has the same long name as the signal in line {2:n}": (
        "{0} de {1} a le même nom long que le signal de la ligne {2:n}"
    ),
    "the name {0} stands for id {1}, and in line {2:n} for id {3}": (
        "le nom {0} désigne l’identifiant {1}, et à la ligne {2:n} l’identifiant {3}"
    ),
    "id {0} is {1} here, and {2} in {3}:{4:n}": "l’identifiant {0} est {1} ici, et {2} dans {3}:{4:n}",
    "{0} has scale 0: its value is always {1:n}": "{0} a l’échelle 0 : sa valeur est toujours {1:n}",
    "{0} has its minimum above its maximum {1}": "{0} a son minimum au-dessus de son maximum {1}",
    "{0} cannot reach its limits {1}: {2:n} {raw} × {3:n} + {4:n} give {5:n} to {6:n}": (
        "{0} ne peut pas atteindre ses limites {1} : {2:n} {raw} × {3:n} + {4:n} donnent de {5:n} à {6:n}"
    ),
    "the value table of {0} names {1}, but its raw numbers are {2:n} to {3:n}": (
        "la table de valeurs de {0} nomme {1}, mais ses valeurs brutes vont de {2:n} à {3:n}"
    ),
    "{0} has {1:n} bytes; a CAN FD frame can have {2:n}, not that": (
        "{0} a {1:n} octets ; une trame CAN FD peut en avoir {2:n}, mais pas {1:n}"
    ),
    "{0} has no signal: its frames are stored, but give no channel": (
        "{0} n’a pas de signal : ses trames sont stockées, mais ne donnent aucune voie"
    ),
    "the unit {0} of {1} has broken letters": "l’unité {0} de {1} a des caractères abîmés",
    "{0} looks like {quantity}, but its unit is {1}": "{0} ressemble à {quantity}, mais son unité est {1}",
    "{0} is at most {1:n}, a part of a turn in radians, but its unit is {2}": (
        "{0} vaut au plus {1:n}, une part de tour en radians, mais son unité est {2}"
    ),
    "{0} is at most {1:n}, a part of a turn in degrees, but its unit is 'rad'": (
        "{0} vaut au plus {1:n}, une part de tour en degrés, mais son unité est 'rad'"
    ),
    "one unit is written in {0:n} ways: {1}": "une même unité est écrite de {0:n} façons : {1}",
}

ADVICE: Final[Table] = {
    "Correct the statement, or delete it; until then the program works without it.": (
        "Corriger l’instruction ou la supprimer ; d’ici là le programme fait sans elle."
    ),
    "Give one of the two its real id, or delete the one that is wrong.": (
        "Donner à l’un des deux son véritable identifiant, ou supprimer celui qui est faux."
    ),
    "Rename one of the two signals.": "Renommer l’un des deux signaux.",
    "Mark one signal of the message with M (or name it in SG_MUL_VAL_) and the others with m<number>.": (
        "Marquer un signal du message par M (ou le nommer dans SG_MUL_VAL_) et les autres par m<numéro>."
    ),
    "Correct the name or the id, or delete the line.": "Corriger le nom ou l’identifiant, ou supprimer la ligne.",
    "Correct the start bit, the byte order or the message's length.": (
        "Corriger le bit de départ, l’ordre des octets ou la longueur du message."
    ),
    "The rest of the file is used; nothing to do if this part is not needed.": (
        "Le reste du fichier est utilisé ; rien à faire si cette partie n’est pas nécessaire."
    ),
    "Nothing to do if both names for the same bits are meant; else correct one start bit or length.": (
        "Rien à faire si deux noms pour les mêmes bits sont voulus ; sinon corriger un bit de départ ou une longueur."
    ),
    "The two have different byte orders (@1 Intel, @0 Motorola): one of them is probably wrong.": (
        "Les deux ont des ordres d’octets différents (@1 Intel, @0 Motorola) : l’un d’eux est sans doute faux."
    ),
    "Correct the start bit or length of one; if they take turns, make them multiplexed (m0, m1 …).": (
        "Corriger le bit de départ ou la longueur de l’un ; s’ils alternent, les multiplexer (m0, m1 …)."
    ),
    "Remove the M, or mark the signals that it selects (m0, m1 …).": (
        "Retirer le M, ou marquer les signaux qu’il sélectionne (m0, m1 …)."
    ),
    "Correct the number after m, or the multiplexer's length.": (
        "Corriger le numéro après m, ou la longueur du multiplexeur."
    ),
    "Correct SystemSignalLongSymbol of one of the two; until then a #2 follows the second.": (
        "Corriger SystemSignalLongSymbol de l’un des deux ; d’ici là un #2 suit le second."
    ),
    "Rename one; until then their channels are {0}@{1}.… and {2}@{3}.…": (
        "Renommer l’un d’eux ; d’ici là leurs voies sont {0}@{1}.… et {2}@{3}.…"
    ),
    "Right if the files describe different buses (name them: --dbc BUS=FILE); else delete one.": (
        "Juste si les fichiers décrivent des bus différents (les nommer : --dbc BUS=FILE) ; sinon en supprimer un."
    ),
    "Write the scale, in units per bit (often 1).": "Écrire l’échelle, en unités par bit (souvent 1).",
    "Swap the two; [0|0] says: no limits.": "Échanger les deux ; [0|0] dit : pas de limites.",
    "Nothing of the range is possible: the scale, the offset or the limits are wrong.": (
        "Rien de cette plage n’est possible : l’échelle, le décalage ou les limites sont faux."
    ),
    "The limits go below zero: is it a signed signal (@1- or @0-), or is an offset missing?": (
        "Les limites descendent sous zéro : est-ce un signal signé (@1- ou @0-), ou manque-t-il un décalage ?"
    ),
    "Check the length, the scale and the sign; if they are right, correct the limits.": (
        "Vérifier la longueur, l’échelle et le signe ; s’ils sont justes, corriger les limites."
    ),
    "Value tables name raw numbers (before scale and offset); correct VAL_ or the length.": (
        "Une table de valeurs nomme des valeurs brutes (avant échelle et décalage) ; corriger VAL_ ou la longueur."
    ),
    "Write {0:n} if the rest is padding.": "Écrire {0:n} si le reste est du remplissage.",
    "Add its signals when they are known.": "Ajouter ses signaux quand ils seront connus.",
    "Save the file as UTF-8 or Windows-1252, and write the unit again (°C, µs, Ω).": (
        "Enregistrer le fichier en UTF-8 ou Windows-1252, et écrire de nouveau l’unité (°C, µs, Ω)."
    ),
    "Correct the unit, or the name.": "Corriger l’unité, ou le nom.",
    "Write rad, or multiply the scale by 57.29578.": "Écrire rad, ou multiplier l’échelle par 57.29578.",
    "Write deg, or multiply the scale by 0.01745329.": "Écrire deg, ou multiplier l’échelle par 0.01745329.",
    "Write {0} everywhere.": "Écrire {0} partout.",
}
