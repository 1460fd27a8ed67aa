"""How the pages look: light and dark, from a phone's width up, with the reader's own fonts."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  --ground: #fff; --raised: #f5f6f8; --line: #d9dde3; --text: #1c2330; --quiet: #566072; --link: #0b57c2;
  --get: #0a6b4b; --post: #8a4b00; --delete: #a32020; --other: #5b3aa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161d; --raised: #1b212b; --line: #323b49; --text: #e4e8ee; --quiet: #9aa5b5; --link: #86b4ff;
    --get: #5fd0a5; --post: #f0b36a; --delete: #ff9090; --other: #bda6ff;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 72rem; padding: 1rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: anywhere;
}
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: .15em; }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.35rem; margin: 3rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2.25rem 0 .25rem; }
h4 { font-size: .95rem; margin: 1.25rem 0 .25rem; color: var(--quiet); }
p, ul { margin: .5rem 0; } ul { padding-left: 1.25rem; } li { margin: .15rem 0; }
code, pre { font: .875em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
:where(:not(pre)) > code { background: var(--raised); border-radius: .25rem; padding: .1em .3em; }
pre {
  background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; margin: .5rem 0;
  overflow-x: auto; overflow-wrap: normal; line-height: 1.45;
}
.quiet { color: var(--quiet); font-size: .9rem; }
.method { font-weight: 700; font-size: .8em; letter-spacing: .03em; margin-right: .4em; color: var(--other); }
.get { color: var(--get); } .post { color: var(--post); } .delete { color: var(--delete); }
h3 > code { font-size: 1em; font-weight: 600; }
dl { margin: .5rem 0; border-top: 1px solid var(--line); }
dl > div { padding: .5rem 0; border-bottom: 1px solid var(--line); }
dt { font-weight: 600; } dt > code { font-weight: 600; }
:is(h3, dt) > code { background: none; padding: 0; }
dd { margin: 0; } dd p { margin: .1rem 0; }
.tag { font-size: .75rem; font-weight: 600; margin-left: .5em; color: var(--delete); }
nav ul { list-style: none; padding: 0; } nav p { margin: .75rem 0 .25rem; font-weight: 600; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
nav li { margin: 0; } nav li a { display: block; padding: .2rem 0; }
@media (min-width: 44rem) {
  dl > div { display: grid; grid-template-columns: 15rem 1fr; gap: 0 1.25rem; }
}
@media (min-width: 62rem) {
  body.wide { display: grid; grid-template-columns: 17rem minmax(0, 1fr); gap: 0 2.5rem; max-width: 84rem; }
  body.wide > header { grid-column: 1 / -1; }
  body.wide > nav {
    position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; font-size: .9rem;
  }
  main > :first-child > h2:first-child { border: 0; margin-top: 0; padding-top: 0; }
}
.narrow { max-width: 46rem; }
@media print { nav { display: none; } }
"""
