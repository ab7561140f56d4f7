"""What is wrong with an expression, and which channel somebody may have meant."""

from typing import Final

from ved.web.words.catalogue import Table

PHRASES: Final[dict[str, Table]] = {
    "listed": {"{0:l}": "{0:l}", "{0:l} and {1:n} more": "{0:l} et {1:n} de plus"},
    "known": {
        "known are {listed}": "les voies connues : {listed}",
        "no channel is known, because no DBC is": "aucune voie n’est connue, faute de DBC",
    },
    "channel": {
        "channel '{0}': there is none; did you mean {listed}?": (
            "voie « {0} » : introuvable ; vouliez-vous dire {listed} ?"
        ),
        "channel '{0}': there is none; {known}": "voie « {0} » : introuvable ; {known}",
        "channel '{0}': no channel fits this pattern; {known}": (
            "voie « {0} » : aucune ne correspond à ce motif ; {known}"
        ),
        "channel '{0}': could be {listed}; give the full name": (
            "voie « {0} » : peut être {listed} ; donnez le nom complet"
        ),
    },
    "hint": {
        '; the closing " is missing': ' ; le " fermant manque',
        "; the closing ] of a unit is missing": " ; le ] fermant d’une unité manque",
        "; write {0}": " ; écrivez {0}",
    },
    "expected": {
        "an operator or the end": "un opérateur ou la fin",
        "'and' between two comparisons": "« and » entre deux comparaisons",
        "an operator or ')'": "un opérateur ou « ) »",
        "a number, a channel, a function or '('": "un nombre, une voie, une fonction ou « ( »",
        "',' or ')' of {0}(": "« , » ou « ) » de {0}(",
    },
    "there": {"the end": "la fin", "'{0}'": "« {0} »"},
    "takes": {
        "a value and a time, like (Speed, 0.5 [s])": "une valeur et une durée, comme (Speed, 0.5 [s])",
        "one argument": "un argument",
    },
    "reason": {
        "{channel}": "{channel}",
        "the expression is too long; at most {0:n} characters": (
            "l’expression est trop longue ; {0:n} caractères au plus"
        ),
        "{0:l} has no meaning here": "{0:l} n’a pas de sens ici",
        "{0:l} has no meaning here{hint}": "{0:l} n’a pas de sens ici{hint}",
        "expected {expected}, not {there}": "attendu : {expected}, et non {there}",
        "nested more than {0:n} deep": "plus de {0:n} niveaux imbriqués",
        "expected a channel somewhere; a number alone has no samples": (
            "il faut une voie quelque part ; un nombre seul n’a pas d’échantillons"
        ),
        "expected the name of a channel": "il faut le nom d’une voie",
        "channel '{0}': stands for {1:n} channels; name one": "voie « {0} » : désigne {1:n} voies ; nommez-en une",
        "function '{0}': there is none; did you mean {1}?": "fonction « {0} » : introuvable ; vouliez-vous dire {1} ?",
        "function '{0}': there is none; known are {1}": (
            "fonction « {0} » : introuvable ; les fonctions connues : {1}"
        ),
        "'{0}' of {1} and {2}: not the same measure": "« {0} » de {1} et {2} : pas la même grandeur",
        "expected a number or an angle, not {0}": "il faut un nombre ou un angle, et non {0}",
        "{0:l} takes {takes}, not {1:n} arguments": "{0:l} prend {takes}, et non {1:n} arguments",
        "{0:l} takes {1:n} argument(s), not {2:n}": "{0:l} prend {1:n} argument(s), et non {2:n}",
        "{0:l} takes at least {1:n} argument(s), not {2:n}": "{0:l} prend au moins {1:n} argument(s), et non {2:n}",
        "{0:l} needs a channel; this is a number alone": "{0:l} demande une voie ; ceci est un nombre seul",
        "expected a time that does not change, like 0.5 [s]": "il faut une durée qui ne change pas, comme 0.5 [s]",
        "expected a time, like 0.5 [s], not {0}": "il faut une durée, comme 0.5 [s], et non {0}",
        "expected a time above 0 and at most {0:n} s": "il faut une durée au-dessus de 0 et de {0:n} s au plus",
        "expected a condition, like Speed > 5 [km/h], or a discrete channel": (
            "il faut une condition, comme Speed > 5 [km/h], ou une voie discrète"
        ),
        "the result is in {0}, which is no measure in {1}": "le résultat est en {0}, qui ne se convertit pas en {1}",
        "a DBC has a channel {0} already; choose another name": "un DBC a déjà une voie {0} ; choisissez un autre nom",
    },
}

ERRORS: Final[Table] = {"{reason}": "{reason}", "position {0:n}: {reason}": "position {0:n} : {reason}"}
