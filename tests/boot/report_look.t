#!/bin/bash
# vireo report as a browser shows it: at 1280, 900 and 390 pixels, light and dark, everything unfolded, nothing is cut, nothing
# overlaps, no page and no table scrolls sideways, and text can be read. tests/boot/look.js is the judge; pages with faults of
# every kind show that it sees them. Needs no KVM.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
VIREO=$PWD/build/vireo
HERE=$PWD/tests/boot
BROWSER=$(command -v chromium-headless-shell || command -v chromium || true)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

make_pages() {
    "$HERE/made_up.pl" exits 1 > a.json && "$HERE/made_up.pl" exits 2 > b.json && "$HERE/made_up.pl" fairness 1 > f.json &&
        "$HERE/made_up.pl" live 1 > l.json && "$HERE/made_up.pl" recording 1 > r.jsonl &&
        "$VIREO" report l.json -o live.html && "$VIREO" report r.jsonl -o recording.html &&
        "$VIREO" report a.json -o exits.html && "$VIREO" report f.json -o fairness.html &&
        "$VIREO" report a.json b.json f.json -o several.html
}

# look light|dark PAGE@WIDTH...: what look.js says of each page.
look() {
    local scheme=$1 is_dark=false number=1
    shift
    [ "$scheme" = light ] || is_dark=true number=0
    {
        echo "<!DOCTYPE html><meta charset=utf-8><body><pre id=said>the page was not looked at</pre><script>const IS_DARK = $is_dark;"
        cat "$HERE/look.js"
        echo "</script>"
        local page
        for page in "$@"; do echo "<iframe src=\"${page%@*}.html\" width=${page#*@} height=600 frameborder=0></iframe>"; done
    } > harness.html
    timeout 120 "$BROWSER" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run \
        --user-data-dir="$work/profile" --allow-file-access-from-files --blink-settings=preferredColorScheme=$number \
        --window-size=1400,900 --virtual-time-budget=20000 --dump-dom "file://$work/harness.html" 2> browser.err > dom.html ||
        { echo "the browser failed"; tail -n 5 browser.err; return 1; }
    perl -0777 -ne 'print "$1\n" if m{<pre id="said">(.*?)</pre>}s' dom.html
}

looks_well() {
    # What paper shows, on a screen as wide as A4.
    sed 's/@media print/@media screen/; s/prefers-color-scheme: dark/prefers-color-scheme: none/' several.html > printed.html
    local pages=({exits,fairness,several,live,recording}@{1280,900,390})
    [ "$1" = dark ] || pages+=(printed@794)
    look "$1" "${pages[@]}" > said || { cat said; return 1; }
    # So that a page that was not there does not pass.
    if grep -qE '^seen: [0-9]{4,} texts, [1-9][0-9]+ tables, [0-9]{3,} strips' said && [ "$(grep -c . said)" = 1 ]; then return 0; fi
    head -n 40 said
    return 1
}

# A style sheet that spoils the page, and what must be said of it. All are looked at in one go.
plant() { sed "s#</style>#$2</style>#" exits.html > "$1.html"; }
sees_planted_faults() {
    plant wide '.note { width: 1500px; max-width: none; }'
    plant column '.rows { min-width: 3000px; display: table; } .rows tr { display: table-row; } .scroll th:first-child { position: static; }'
    plant plot '.plot text { font-size: 60px; }'
    plant pale '.note { color: \#bbb; }'
    plant ticks '.ticks span { display: inline !important; }'
    plant clip 'h1 { overflow: hidden; white-space: nowrap; width: 60px; }'
    plant dark ':root { --bg: \#000 !important; --fg: \#fff !important; }'
    plant markup '</style></head><body><p>\&lt;p class="note"\&gt;</p>'
    plant broken 'b { display: inline-block; width: 9px; overflow-wrap: anywhere; }'
    look light broken@900 wide@1280 column@390 column@900 plot@1280 pale@900 ticks@390 clip@390 dark@1280 markup@390 > said
    local fault
    while read -r fault; do
        grep -qE "$fault" said || { echo "not seen: $fault"; head -n 60 said; return 1; }
    done << 'END'
^wide.html 1280: the page is 15[0-9]{2} pixels wide
^column.html 390: the first column is cut
^column.html 900: a table is wider
^plot.html 1280: text is cut
^pale.html 900: too little contrast
^ticks.html 390: labels of an axis overlap
^clip.html 390: text is cut: "What VM exits cost"
^dark.html 1280: not light
^broken.html 900: a word is broken
^markup.html 390: markup is shown as text
END
}

if [ -z "$BROWSER" ]; then
    skip "a page looks well at every width" "there is no chromium: scripts/setup test installs chromium-headless-shell"
else
    check "results become pages" make_pages
    check "nothing is cut at any width, light" looks_well light
    check "nothing is cut at any width, dark" looks_well dark
    check "a page that is spoiled is seen to be" sees_planted_faults
fi
tap_done
