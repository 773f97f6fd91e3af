"""The style sheet of the HTML pages: no network, light and dark, readable on a phone."""

CSS = """
:root { color-scheme: light dark; --ink: #1c1e21; --dim: #62686f; --rule: #d9dce0; --paper: #ffffff; --link: #0a58a6;
  --good: #16713a; --bad: #a3262a; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --dim: #9aa2ab; --rule: #3a4047; --paper: #15181b; --link: #7db9f5;
  --good: #6fce94; --bad: #f0888b; --warn: #4a3a10; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; line-height: 1.25; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
ul + section { margin-top: 2rem; }
section + section { border-top: 1px solid var(--rule); margin-top: 2.5rem; padding-top: 2rem; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; }
.source, .files, small { color: var(--dim); }
.source, .files { margin: 0 0 1rem; }
.caption { max-width: 48rem; font-size: .9rem; color: var(--dim); padding-left: 1.2rem; }
.partial { background: var(--warn); padding: .6rem .8rem; border-radius: .3rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; border-top: 2px solid; border-bottom: 2px solid; }
th, td { padding: .35rem .6rem; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; }
th.text, tbody th { text-align: left; font-weight: 400; }
thead th { border-bottom: 1px solid; vertical-align: bottom; }
thead th.text { font-weight: 600; }
thead th[colspan] { text-align: center; }
.details { font-size: .9rem; }
.details th, .details td { padding: .3rem .4rem; }
.details thead th { white-space: normal; min-width: 4.6rem; max-width: 7rem; }
.details thead th.text { min-width: 0; }
td a { text-decoration: none; }
td a:hover, td a:focus { text-decoration: underline; }
tr.group > * { border-top: 1px solid var(--rule); }
td small { display: block; font-size: .8rem; }
td sup { position: absolute; margin-left: .1rem; }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
figure { margin: 1.5rem 0 0; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }
@media (max-width: 40rem) { body { font-size: 14px; } th, td { padding: .3rem .4rem; } }
"""
