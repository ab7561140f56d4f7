"""Why an alarm rule is refused, or has no effect."""

from typing import Final

from ved.web.words.catalogue import Table

RULES: Final[Table] = {
    "alarm rule: unknown key '{0}'; known are {1}": "règle d’alarme : clé « {0} » inconnue ; les clés connues : {1}",
    "alarm rule: key '{0}' must be a text of 1 to 100 characters": (
        "règle d’alarme : la clé « {0} » doit être un texte de 1 à 100 caractères"
    ),
    "alarm '{0}': key 'guard' must be a table with 'channel' and one of 'above', 'below', 'equals'": (
        "alarme « {0} » : la clé « guard » doit être « channel » avec l’une de « above », « below », « equals »"
    ),
    "alarm '{0}': key 'values' must be a list of 1 to {1:n} numbers": (
        "alarme « {0} » : la clé « values » doit être une liste de 1 à {1:n} nombres"
    ),
    "alarm '{0}': key 'id' must be a-z first, then a-z, 0-9 or -, at most 48 characters": (
        "alarme « {0} » : la clé « id » doit commencer par a-z, puis a-z, 0-9 ou -, 48 caractères au plus"
    ),
    "alarm '{0}': key 'kind' must be one of {1}": "alarme « {0} » : la clé « kind » doit être l’un de {1}",
    "alarm '{0}': key 'severity' must be info, warning or critical": (
        "alarme « {0} » : la clé « severity » doit être info, warning ou critical"
    ),
    "alarm '{0}': key '{1}' must be a text of at most {2:n} characters": (
        "alarme « {0} » : la clé « {1} » doit être un texte de {2:n} caractères au plus"
    ),
    "alarm '{0}': key '{1}' must be true or false": "alarme « {0} » : la clé « {1} » doit être true ou false",
    "alarm '{0}': key '{1}' must be a number": "alarme « {0} » : la clé « {1} » doit être un nombre",
    "alarm '{0}': key 'hysteresis' must be a number from 0 on": (
        "alarme « {0} » : la clé « hysteresis » doit être un nombre à partir de 0"
    ),
    "alarm '{0}': key '{1}' must be a whole number of milliseconds from 0 to {2:n}": (
        "alarme « {0} » : la clé « {1} » doit être un nombre entier de millisecondes de 0 à {2:n}"
    ),
    "alarm '{0}': key 'mask' must be a whole number from 0 to 2^53 - 1": (
        "alarme « {0} » : la clé « mask » doit être un nombre entier de 0 à 2^53 - 1"
    ),
    "alarm '{0}': kind '{1}' needs the key '{2}'": "alarme « {0} » : le type « {1} » demande la clé « {2} »",
    "alarm '{0}': kind '{1}' has no key '{2}'": "alarme « {0} » : le type « {1} » n’a pas de clé « {2} »",
    "alarm '{0}': 'low' must lie below 'high', by twice the hysteresis at least": (
        "alarme « {0} » : « low » doit être sous « high », d’au moins deux fois l’hystérésis"
    ),
    "alarm '{0}': 'limit' of a rate is per second: above 0 for rising, below 0 for falling": (
        "alarme « {0} » : « limit » d’une variation est par seconde : positive si elle monte, négative si elle descend"
    ),
    "switched off": "désactivée",
    "silence cannot be told here": "un silence ne peut pas être constaté ici",
    "no DBC has the channel {0}": "aucun DBC n’a la voie {0}",
    "{0}: functions of laps cannot be used in an alarm": "{0} : une alarme ne peut pas utiliser de fonctions de tours",
    "no alarm has this id": "aucune alarme n’a cet identifiant",
    "a vehicle has at most {0:n} rules": "un véhicule a {0:n} règles au plus",
    "a rule with the id {0} is there already: give this one another id": (
        "il y a déjà une règle d’identifiant {0} : donnez-en un autre à celle-ci"
    ),
    "the vehicle has no rule with this id": "le véhicule n’a pas de règle avec cet identifiant",
}

NOTIFICATIONS: Final[Table] = {
    "notifications are off: set notify_webhook or notify_apprise": (
        "les notifications sont coupées : réglez notify_webhook ou notify_apprise"
    ),
    "a test was asked for a moment ago": "un essai vient d’être demandé",
    "apprise is not installed: pip install 'ved[notify]'": "apprise n’est pas installé : pip install 'ved[notify]'",
    "{0}: apprise does not know this kind of address": "{0} : apprise ne connaît pas ce type d’adresse",
    "{0}: was not taken": "{0} : n’a pas été accepté",
    "{0}: cannot be resolved": "{0} : nom introuvable",
    "{0}: no answer within {1:n} s": "{0} : pas de réponse en {1:n} s",
    "{0}: redirects ({1:n}) are not followed": "{0} : les redirections ({1:n}) ne sont pas suivies",
    "{0}: answered {1:n}": "{0} : a répondu {1:n}",
    "a webhook is an https:// address without user name": (
        "un webhook est une adresse https:// sans nom d’utilisateur"
    ),
    "{0} is not in notify_hosts": "{0} n’est pas dans notify_hosts",
    "{0}: http:// is for addresses of this network alone": "{0} : http:// ne vaut que pour des adresses de ce réseau",
    "{0} has a private address": "{0} a une adresse privée",
}
