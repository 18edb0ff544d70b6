/* How a page looks at several widths, for report_look.t. The harness page holds one frame for each page and width; when all are loaded, each
   fault becomes a line "PAGE WIDTH: what", and the last line says how much was looked at. */
'use strict';
const SLACK = 1.5;      // pixels: rounding of layout
const CONTRAST = 4.5;   // WCAG 2.1, 1.4.3
const seen = {texts: 0, tables: 0, drawings: 0};
const lines = [];

function luminance([r, g, b]) {
    const part = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
}
function colour(text) {
    const n = (text.match(/[\d.]+/g) || []).map(Number);
    return n.length < 3 || n[3] === 0 ? null : n;
}
function background(e) {
    for (; e; e = e.parentElement) {
        const c = colour(getComputedStyle(e).backgroundColor);
        if (c) return c;
    }
    return [255, 255, 255];
}
function contrast(e, isDrawn) {
    const style = getComputedStyle(e), a = luminance(colour(isDrawn ? style.fill : style.color) || [0, 0, 0]);
    const b = luminance(background(isDrawn ? e.parentElement : e));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/* The piece of the page that a text in e must not reach beyond. Elements share their parents', so each is asked once. */
const rooms = new Map();
function room(e, width) {
    if (e.tagName === 'BODY') return {left: 0, right: width, top: -Infinity, bottom: Infinity};
    if (rooms.has(e)) return rooms.get(e);
    const out = {...room(e.parentElement, width)}, is_drawing = e.tagName === 'svg';
    if (is_drawing || getComputedStyle(e).overflowX !== 'visible') {
        const box = e.getBoundingClientRect();
        out.left = Math.max(out.left, box.left);
        out.right = Math.min(out.right, box.right);
        if (is_drawing) Object.assign(out, {top: box.top, bottom: box.bottom});
    }
    rooms.set(e, out);
    return out;
}

function look_at_texts(doc, width, fault) {
    const walk = doc.createTreeWalker(doc.body, 4 /* text */);
    while (walk.nextNode()) {
        const node = walk.currentNode, e = node.parentElement, text = node.data.trim();
        if (!text || ['STYLE', 'title'].includes(e.tagName)) continue;
        const range = doc.createRange();
        range.selectNodeContents(node);
        const at = room(e, width);
        for (const box of range.getClientRects()) {
            if (box.width === 0) continue;
            seen.texts++;
            if (box.left < at.left - SLACK || box.right > at.right + SLACK || box.top < at.top - SLACK || box.bottom > at.bottom + SLACK)
                fault(`text is cut: "${text.slice(0, 40)}"`);
        }
        const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (/^[\w.%]{1,20}$/.test(text) && tops.size > 1) fault(`a word is broken: "${text}"`);
        if (/<\w+( class|>)/.test(text)) fault(`markup is shown as text: "${text.slice(0, 40)}"`);
        if (contrast(e, !!e.closest('svg')) < CONTRAST) fault(`too little contrast: "${text.slice(0, 40)}"`);
    }
}

function look_at_tables(doc, fault) {
    for (const box of doc.querySelectorAll('.scroll')) {
        seen.tables++;
        if (box.scrollWidth > box.clientWidth + SLACK) fault(`a table is wider than the page: "${box.innerText.slice(0, 40)}"`);
        box.scrollLeft = box.scrollWidth;
        const at = box.getBoundingClientRect();
        for (const th of box.querySelectorAll('tr > th:first-child')) {
            const cell = th.getBoundingClientRect();
            if (cell.width > 0 && (cell.left < at.left - SLACK || cell.right > at.right + SLACK))
                fault(`the first column is cut: "${th.innerText}"`);
        }
        box.scrollLeft = 0;
    }
}

function look_at_drawings(doc, fault) {
    for (const strip of doc.querySelectorAll('.strip')) {
        seen.drawings++;
        if (strip.getBoundingClientRect().width < 90) fault('a strip is too narrow to be read');
    }
    for (const line of doc.querySelectorAll('.ticks')) {
        const boxes = [...line.querySelectorAll('span')].map(s => s.getBoundingClientRect()).filter(b => b.width > 0);
        for (let i = 1; i < boxes.length; i++)
            if (boxes[i].left < boxes[i - 1].right) fault('labels of an axis overlap');
    }
}

function look_at(frame) {
    const doc = frame.contentDocument, width = frame.contentWindow.innerWidth, name = frame.getAttribute('src');
    const faults = new Set(), fault = text => faults.add(`${name} ${width}: ${text}`);
    if (width !== Number(frame.width)) fault(`asked for ${frame.width} pixels`);
    if (luminance(background(doc.body)) > 0.5 === IS_DARK) fault(IS_DARK ? 'not dark' : 'not light');
    doc.querySelectorAll('details').forEach(d => { d.open = true; });
    if (doc.documentElement.scrollWidth > width) fault(`the page is ${doc.documentElement.scrollWidth} pixels wide`);
    look_at_texts(doc, width, fault);
    look_at_tables(doc, fault);
    look_at_drawings(doc, fault);
    lines.push(...faults);
}

window.onload = () => {
    document.querySelectorAll('iframe').forEach(look_at);
    lines.push(`seen: ${seen.texts} texts, ${seen.tables} tables, ${seen.drawings} strips`);
    document.getElementById('said').textContent = lines.join('\n');
};
