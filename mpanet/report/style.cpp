#include "mpanet/report/style.h"

namespace mpanet {

// Colours: Okabe and Ito, "Color Universal Design" (2008); .c7 is the colour of the text. Yellow is last but one, since
// it is faint on white.
const char* const kReportStyle = R"(
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --tint: #f4f6f8;
  --link: #0062a3; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #e69f00; --c5: #56b4e9;
  --c6: #b8a900; --c7: var(--ink); --right: #009e73; --heat: 0 114 178; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e8ebee; --soft: #a0a9b3; --rule: #333a42; --tint: #1d2126; --link: #7cc4f5;
    --c0: #4aa8e0; --c1: #f08030; --c2: #2cc497; --c3: #df97bf; --c6: #f0e442; --right: #2cc497; --heat: 74 168 224; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 0 clamp(1rem, 3vw, 2.5rem) 4rem; max-width: 100rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.5rem, 1.2rem + 1.4vw, 2.1rem); margin: 2rem 0 .25rem; }
h2 { font-size: 1.3rem; margin: 3.2rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--c4); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .5rem 1rem; z-index: 1; }
.brow { color: var(--soft); font-size: .85rem; letter-spacing: .06em; text-transform: uppercase; margin: 2rem 0 0; }
.brow + h1 { margin-top: .2rem; }
.lead { color: var(--soft); }
.notice { border-left: 4px solid var(--c1); background: var(--tint); padding: .7rem 1rem; margin: 1.2rem 0; max-width: 48rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; padding: 0; margin: 1.2rem 0 0; }
.scroll { overflow-x: auto; margin: .4rem 0 1rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; }
thead th { color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 500; }
td { overflow-wrap: anywhere; min-width: 3rem; max-width: 40rem; }
.numbers tbody th { min-width: 7.5rem; }
@media print, (min-width: 46rem) { .numbers tbody th { white-space: nowrap; } }
.numbers td, .numbers thead th:not(:first-child) { text-align: right; white-space: nowrap; }
.deviation, .range, .path, .rank + span ~ span { color: var(--soft); }
.range { font-weight: 400; }
tr.published { font-style: italic; }
tr.group th { padding-top: 1.1rem; color: var(--ink); font-weight: 700; }
tr.mean td, tr.mean th { font-weight: 700; }
tr.changed { background: var(--tint); }
tr.changed th { font-weight: 700; }
code, pre { font: .88rem/1.5 ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; }
pre { background: var(--tint); padding: .9rem 1rem; overflow-x: auto; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .92rem; margin-bottom: .2rem; overflow-wrap: anywhere; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); gap: 1.6rem 2rem; }
.grid > div { min-width: 0; }
#cameras .grid { display: flex; flex-wrap: wrap; gap: .5rem 3rem; }
#cameras .grid > div { max-width: 100%; }
.chart { display: block; width: 100%; max-width: 34rem; height: auto; font-size: 11.5px; }
.map { border: 1px solid var(--rule); }
.chart text { fill: var(--soft); }
.chart .note { fill: var(--ink); }
.ticks path { stroke: var(--rule); fill: none; }
.chart .axis { stroke: var(--soft); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; padding: 0; margin: .6rem 0 1rem; font-size: .92rem; }
.legend li { display: flex; align-items: center; gap: .45rem; min-width: 0; overflow-wrap: anywhere; }
.legend svg { flex: none; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
path.line, path.faint { fill: none; stroke: var(--c); stroke-linejoin: round; }
path.line { stroke-width: 2; }
path.faint { stroke-width: .8; opacity: .4; }
path.line.c1 { stroke-dasharray: 7 3; } path.line.c2 { stroke-dasharray: 2.5 2.5; }
path.line.c3 { stroke-dasharray: 9 3 2 3; } path.line.c4 { stroke-dasharray: 4 3; }
path.line.c5 { stroke-dasharray: 12 3; } path.line.c6 { stroke-dasharray: 5 2 1 2 1 2; } path.line.c7 { stroke-dasharray: 1 3; }
.dot { fill: var(--c); }
.ring { fill: var(--paper); stroke: var(--c); stroke-width: 2.2; }
.area { fill: var(--c); fill-opacity: .22; stroke: var(--c); stroke-width: 1.6; }
.area.c1 { stroke-dasharray: 5 2; }
.mark { stroke: var(--ink); stroke-dasharray: 4 3; fill: none; }
.mark.calibrated { stroke-dasharray: 1 3; stroke-width: 2; }
.p { fill: var(--c); stroke: var(--paper); stroke-width: .6; }
.p.other { fill: var(--soft); fill-opacity: .28; stroke: none; }
.plain { fill: none; stroke: var(--ink); stroke-width: 1.3; }
.numbers td:has(.heat) { padding: 0; }
.heat { display: block; padding: .38rem .75rem; background: rgb(var(--heat) / calc(var(--v) * .42)); }
.definitions { position: absolute; }
.thumb { display: block; width: 48px; height: 128px; background: var(--tint); }
.maps { display: flex; flex-wrap: wrap; gap: .5rem 3rem; }
.maps .scroll { max-width: 100%; }
.maps td, .maps th { padding: .3rem; border: 0; min-width: 0; }
.maps td { max-width: none; }
.maps img { display: block; width: 72px; height: auto; }
summary { cursor: pointer; font-weight: 600; margin: .8rem 0; overflow-wrap: anywhere; }
.query { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: .5rem 1.2rem; padding: .9rem 0;
  border-bottom: 1px solid var(--rule); break-inside: avoid; }
.asked { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-content: start; font-size: .85rem; line-height: 1.45; }
.asked p { margin: 0; }
.asked .path { flex-basis: 100%; font-size: .78rem; }
.asked .thumb { border: 3px solid var(--soft); width: 54px; height: 134px; }
.ranked { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: 0; padding: 0; }
.ranked li { display: flex; flex-direction: column; font-size: .76rem; line-height: 1.35; width: 58px; white-space: nowrap; }
.ranked .thumb { border: 1px solid var(--rule); margin: 2px; width: 50px; height: 130px; }
.ranked .right .thumb { border: 4px solid var(--right); margin: 0; width: 56px; height: 136px; }
.ranked .rank { font-weight: 700; font-size: .82rem; }
.ranked .right .rank { color: var(--right); }
.ranked .after { opacity: .4; }
.ranked .gap { margin-left: 1.2rem; position: relative; }
.ranked .gap::before { content: "…"; position: absolute; left: -1.1rem; top: 3.2rem; color: var(--soft); }
@media screen and (max-width: 46rem) { .query { grid-template-columns: minmax(0, 1fr); } th, td { padding: .35rem .5rem; } }
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb; --tint: #f4f4f4; --link: #000; --c0: #0072b2; --c1: #d55e00;
    --c2: #009e73; --c3: #cc79a7; --c6: #b8a900; --right: #009e73; --heat: 0 114 178; }
  body { max-width: none; padding: 0; font-size: 12pt; zoom: .72; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  nav, .skip { display: none; }
  table { font-size: .8rem; }
  th, td, .heat { padding: .25rem .4rem; }
  .grid { grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
  .query { grid-template-columns: 11rem minmax(0, 1fr); }
  .scroll, pre { overflow: visible; white-space: pre-wrap; }
  h2, h3, figcaption { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
)";

}  // namespace mpanet
