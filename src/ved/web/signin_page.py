"""The few pages for people who are not signed in: plain forms, no script, French and English."""

import re
from html import escape
from typing import Final

from fastapi.responses import HTMLResponse

PATH: Final = "/signin.css"
STYLE: Final = """
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:#f3f5f7;color:#14181d;
font:1rem/1.5 system-ui,sans-serif}
main{width:100%;max-width:26rem;padding:2rem;border:1px solid #cfd6dd;border-radius:12px;background:#fff}
h1{margin:0 0 .25rem;font-size:1.375rem}
p{margin:.25rem 0;color:#4d5864}
form{display:grid;gap:.75rem;margin:1.25rem 0}
label{display:grid;gap:.25rem;font-size:.9rem}
input,button{font:inherit;min-height:2.75rem;padding:0 .75rem;border-radius:8px;border:1px solid #8b97a3;
background:#fff;color:inherit}
button{border:0;background:#0b5cad;color:#fff;font-weight:600;cursor:pointer}
a{color:inherit}
:focus-visible{outline:3px solid #f0a500;outline-offset:2px}
.wrong{color:#b3141a;font-weight:600}
.hint{font-size:.875rem}
@media (prefers-color-scheme:dark){
body{background:#0e1216;color:#e8edf2}main{background:#171c22;border-color:#323b45}p{color:#a9b4bf}
input{background:#0e1216;border-color:#5b6773}.wrong{color:#ff8a8a}button{background:#2b7fd6}}
"""
_HEAD: Final = (
    '<!doctype html><html lang="fr"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width,initial-scale=1"><title>ved</title><link rel="stylesheet" href="/signin.css">'
    "</head><body><main>"
)
_TAIL: Final = "</main></body></html>\n"
SIGNED_OUT: Final = (
    "You are not signed in. Open the sign-in link that `ved serve` printed, or make a new one with `ved signin`.\n"
    "Vous n'êtes pas connecté. Ouvrez le lien de connexion affiché par `ved serve`, ou créez-en un avec `ved signin`.\n"
)
WRONG: Final = ("Nom ou mot de passe incorrect.", "Wrong name or password.")
TOO_OFTEN: Final = ("Trop d'essais ; attendez quelques minutes.", "Too many tries; wait some minutes.")
LINK_OVER: Final = (
    "Ce lien a déjà servi, a expiré ou a été retiré ; demandez-en un autre.",
    "This link was used already, has expired or was withdrawn; ask for another.",
)
SIGNIN_OVER: Final = (
    "Ce lien de connexion a déjà servi ou a expiré. Créez-en un nouveau avec `ved signin`.",
    "This sign-in link was used already or has expired. Make a new one with `ved signin`.",
)
NAME_TAKEN: Final = ("Ce nom est pris ; choisissez-en un autre.", "This name is taken; choose another.")
BAD_FORM: Final = (
    "Un nom de 1 à 60 caractères ; un mot de passe d'au moins 10.",
    "A name of 1 to 60 characters; a password of 10 or more.",
)


def signin_page(status: int, wrong: tuple[str, str] | None = None, name: str = "") -> HTMLResponse:
    """Name and password, and how to come in without; `name` is what was written before."""
    french, english = SIGNED_OUT.splitlines()[1], SIGNED_OUT.splitlines()[0]
    form = (
        f'<form method="post" action="/signin">{_name_field(name)}<label><span>Mot de passe · <span lang="en">Password'
        '</span></span><input name="password" type="password" required maxlength="200" autocomplete="current-password"'
        f"{' autofocus' if name else ''}>"
        '</label><button>Se connecter · <span lang="en">Sign in</span></button></form>'
        f'<p class="hint">{_marked(french)}</p><p class="hint" lang="en">{_marked(english)}</p>'
    )
    return _page(status, ("Connexion", "Sign in"), form, wrong)


def join_page(
    status: int, token: str, *, is_guest: bool, wrong: tuple[str, str] | None = None, name: str = ""
) -> HTMLResponse:
    """What an invitation shows. Opening it changes nothing: programs that look into links do not use it up."""
    hidden = f'<input type="hidden" name="token" value="{escape(token)}">'
    fields = (
        f'{_name_field(name)}<label><span>Mot de passe (facultatif, 10 caractères ou plus) · <span lang="en">Password'
        ' (optional, 10 characters or more)</span></span><input name="password" type="password" minlength="10"'
        ' maxlength="200" autocomplete="new-password"></label>'
        '<p class="hint">Avec un mot de passe, vous pourrez vous connecter sur un'
        ' autre appareil. · <span lang="en">With a password you can sign in on another device.</span></p>'
    )
    text = ("Une session à regarder", "A session to look at") if is_guest else ("Bienvenue", "Welcome")
    button = '<button>Entrer · <span lang="en">Come in</span></button>'
    return _page(
        status,
        text,
        f'<form method="post" action="/join">{hidden}{"" if is_guest else fields}{button}</form>',
        wrong,
    )


def refusal_page(status: int, text: tuple[str, str]) -> HTMLResponse:
    """A link that lets nobody in, and the way for those who have a password."""
    way_in = (
        '<p><a href="/">Se connecter avec un nom et un mot de passe · '
        '<span lang="en">Sign in with name and password</span></a></p>'
    )
    return _page(status, ("Lien expiré", "Link expired"), way_in, text)


def _name_field(name: str) -> str:
    """The first field to write in, unless a name stands there already."""
    rest = f' value="{escape(name)}"' if name else " autofocus"
    return (
        '<label><span>Nom · <span lang="en">Name</span></span>'
        f'<input name="name" required maxlength="60" autocomplete="username"{rest}></label>'
    )


def _page(status: int, title: tuple[str, str], body: str, wrong: tuple[str, str] | None) -> HTMLResponse:
    said = (
        f'<p class="wrong" role="alert">{_marked(wrong[0])}<br><span lang="en">{_marked(wrong[1])}</span></p>'
        if wrong
        else ""
    )
    head = f'<h1>{title[0]} · <span lang="en">{title[1]}</span></h1>'
    return HTMLResponse(f"{_HEAD}{head}{said}{body}{_TAIL}", status)


def _marked(text: str) -> str:
    """What stands between backticks is a command."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
