// The report's style sheet: calm, light and dark by the reader's preference, nothing loaded from anywhere.
// Series colours follow Okabe and Ito's colour-blind-safe palette, adjusted for contrast on both grounds.
#pragma once

namespace fathom::eval {

inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;--ground:#fbfaf7;--panel:#ffffff;--ink:#1d2327;--soft:#5c666d;--rule:#e3e0d8;
--fathom:#c24a00;--early:#0067a8;--fixed:#9a6b00;--dynamic:#7a7f84;--predictor:#a8487f;--policy:#00795a;
--base:#1d2327;--full:#5c666d;--cell:#0067a8;--met:#00795a;--missed:#b3261e}
@media (prefers-color-scheme:dark){:root{--ground:#14181b;--panel:#1b2024;--ink:#e7e5df;--soft:#9aa4ab;--rule:#2f363b;
--fathom:#ff8a4c;--early:#5cb8f0;--fixed:#e0b040;--dynamic:#9aa0a6;--predictor:#e08fbd;--policy:#3cc79a;
--base:#e7e5df;--full:#9aa4ab;--cell:#5cb8f0;--met:#3cc79a;--missed:#ff8f85}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;font-weight:650}
h2{font-size:1.12rem;margin:44px 0 6px;font-weight:650}
p{margin:6px 0 12px;max-width:70ch}
.soft,figcaption,.facts{color:var(--soft)}
.facts{font-size:.9rem;margin:0 0 20px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:22px 0 8px}
.tile{background:var(--panel);border:1px solid var(--rule);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:1.75rem;line-height:1.15;font-weight:620;letter-spacing:-.02em;
  font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.86rem;display:block;margin-top:3px;line-height:1.4}
.grid{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px;margin-top:14px}
figure{margin:0;background:var(--panel);border:1px solid var(--rule);border-radius:10px;padding:14px 14px 10px;
  min-width:0}
figure h3{margin:0 0 8px;font-size:.97rem;font-weight:620}
figcaption{font-size:.84rem;line-height:1.45;margin-top:6px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
svg .tick{font-size:11px;font-variant-numeric:tabular-nums}
svg .label{font-weight:550;paint-order:stroke;stroke:var(--panel);stroke-width:3px;stroke-linejoin:round}
svg .strong{font-weight:700}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .axis{stroke:var(--soft);stroke-width:1}
svg .line{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
svg .line.strong{stroke-width:2.6}
svg .dot{fill:currentColor;stroke:var(--panel);stroke-width:1.5}
svg .bar{fill:var(--fathom)}
svg .outline{fill:none;stroke:var(--ink);stroke-width:1.4}
svg .cell{fill:var(--cell)}
svg .diagonal{stroke:var(--ink);stroke-width:1}
svg .number{font-size:10px;fill:var(--ink)}
svg .number.on{fill:var(--panel)}
.scroll{overflow-x:auto;background:var(--panel);border:1px solid var(--rule);border-radius:10px;
  -webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:9px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th:first-child,td:first-child{text-align:left;padding-left:14px;white-space:normal;min-width:196px}
th{font-weight:550;color:var(--soft);font-size:.82rem}
tr:last-child td{border-bottom:0}
tr.us td{font-weight:620}
td small{display:block;color:var(--soft);font-weight:400;font-size:.8rem;line-height:1.35}
td:first-child small{padding-left:17px}
.key{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:8px}
.box{background:var(--panel);border:1px solid var(--rule);border-radius:10px;padding:14px 18px;margin-top:14px}
.box code{font:500 .92em ui-monospace,SFMono-Regular,Menlo,monospace;white-space:normal;overflow-wrap:anywhere}
ul.gates{list-style:none;margin:14px 0 0;padding:0;display:grid;grid-template-columns:repeat(2,minmax(0,1fr));
  gap:0 28px}
ul.gates li{padding:8px 0;border-bottom:1px solid var(--rule);font-size:.9rem;display:grid;
  grid-template-columns:1fr auto;gap:12px}
.met{color:var(--met);font-weight:600}.missed{color:var(--missed);font-weight:600}
ol.worst{list-style:none;margin:14px 0 0;padding:0;display:grid;grid-template-columns:repeat(2,minmax(0,1fr));
  gap:12px}
ol.worst li{background:var(--panel);border:1px solid var(--rule);border-radius:10px;padding:12px 16px;min-width:0}
ol.worst q{display:block;quotes:none;overflow-wrap:anywhere;margin:6px 0 8px;max-height:11em;overflow-y:auto}
ol.worst img{display:block;width:100%;max-height:180px;object-fit:contain;object-position:left;
  image-rendering:pixelated;margin:8px 0}
h3{font-size:.97rem;margin:18px 0 4px;font-weight:620}
.enough{font-weight:550}
details{margin-top:44px}summary{cursor:pointer;font-size:1.12rem;font-weight:650}
table.classes td:first-child{overflow-wrap:anywhere}
ol.confused{list-style:none;margin:0;padding:0;font-size:.9rem}
ol.confused li{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:12px;padding:6px 0;
  border-bottom:1px solid var(--rule);overflow-wrap:anywhere}
footer{margin-top:48px;color:var(--soft);font-size:.84rem;overflow-wrap:anywhere}
@media (max-width:720px){main{padding:22px 14px 48px}.tiles{grid-template-columns:repeat(2,1fr)}
.grid,ul.gates,ol.worst{grid-template-columns:minmax(0,1fr)}.tile b{font-size:1.45rem}.tile{padding:12px}
  figure{padding:12px 8px 10px}
figure h3,figcaption{padding:0 4px}
table.systems thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
table.systems,table.systems tbody{display:block}
table.systems tr{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:8px 12px;padding:12px 14px;
  border-bottom:1px solid var(--rule)}
table.systems tr:last-child{border-bottom:0}
table.systems td{display:block;padding:0;border:0;text-align:left;white-space:normal;min-width:0}
table.systems td:first-child{grid-column:1/-1}
table.systems td[data-what]::before{content:attr(data-what);display:block;color:var(--soft);font-weight:400;
  font-size:.74rem;line-height:1.3}
table.classes{font-size:.84rem}
table.classes th,table.classes td{padding:7px 6px}
table.classes th{white-space:normal}
table.classes th:first-child,table.classes td:first-child{min-width:84px;padding-left:10px}}
@media print{body{background:#fff}figure,.tile,.box,ol.worst li{break-inside:avoid}}
)css";

}  // namespace fathom::eval
