// Makes GraphiQL 3 usable with a screen reader and without a mouse. Adds the attributes that its own elements lack.

/** A script for the browser: labels elements that GraphiQL leaves without a label, and lets Tab leave its editors. */
export const ACCESS_SCRIPT = `'use strict';
(function () {
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };

  // An editor has an invisible text area without a label, and a visible part that only the mouse can scroll.
  function nameOf(editor) {
    if (editor.closest('.result-window')) return 'Result';
    if (editor.closest('.graphiql-query-editor')) return 'Operation';
    const section = editor.closest('section[aria-label]');
    return section ? section.getAttribute('aria-label') : 'Editor';
  }
  function mendEditor(editor) {
    const name = nameOf(editor);
    editor.querySelectorAll('textarea').forEach((area) => set(area, 'aria-label', name));
    editor.querySelectorAll('.CodeMirror-scroll').forEach((scroller) => {
      set(scroller, 'tabindex', '0');
      set(scroller, 'role', 'group');
      set(scroller, 'aria-label', name + ', to scroll');
    });
    if (editor.CodeMirror && !editor.CodeMirror.tollgateTab) {
      editor.CodeMirror.tollgateTab = true;
      // Tab moves the focus, as on other pages. By default it indents, and the keyboard could not leave the editor.
      editor.CodeMirror.addKeyMap({ Tab: false, 'Shift-Tab': false });
    }
  }

  // ARIA forbids buttons inside a tab, but GraphiQL has two in each. Makes them groups of buttons, and marks the current one.
  function mendTabs(tabs) {
    set(tabs, 'role', 'group');
    tabs.querySelectorAll('.graphiql-tab').forEach((tab) => {
      set(tab, 'role', 'none');
      if (tab.hasAttribute('aria-selected')) tab.removeAttribute('aria-selected');
      const button = tab.querySelector('.graphiql-tab-button');
      if (button) set(button, 'aria-current', String(tab.classList.contains('graphiql-tab-active')));
    });
  }

  function mend() {
    document.querySelectorAll('.CodeMirror').forEach(mendEditor);
    document.querySelectorAll('.graphiql-tabs').forEach(mendTabs);
    document.querySelectorAll('#graphiql-session[role="tabpanel"]').forEach((panel) => set(panel, 'role', 'group'));
    // Without this, all history items have the label "Set active".
    document.querySelectorAll('.graphiql-history-item-label').forEach((label) => set(label, 'aria-label', label.textContent));
  }

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      mend();
    });
  }).observe(document.getElementById('graphiql'), {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ['role', 'class', 'aria-label', 'aria-selected'],
  });
})();
`;

/** Colours with enough contrast, underlined links, and a visible focus. */
export const ACCESS_STYLE = `.unseen {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.graphiql-container, .CodeMirror-info, .CodeMirror-lint-tooltip, .graphiql-dialog, .graphiql-dialog-overlay, .graphiql-tooltip,
[data-radix-popper-content-wrapper] {
  --color-primary: 320, 95%, 35%;
  --color-secondary: 242, 51%, 45%;
  --color-tertiary: 188, 100%, 22%;
  --color-info: 208, 100%, 34%;
  --color-success: 158, 60%, 24%;
  --color-warning: 36, 100%, 24%;
  --color-error: 13, 93%, 36%;
  --alpha-secondary: .9;
  --alpha-tertiary: .85;
}
@media (prefers-color-scheme: dark) { body:not(.graphiql-light) .graphiql-container { --color-primary: 338, 100%, 74%; } }
body.graphiql-dark .graphiql-container { --color-primary: 338, 100%, 74%; }
.graphiql-doc-explorer a { text-decoration: underline; }
.graphiql-container :focus-visible, .graphiql-dialog :focus-visible { outline: 2px solid hsl(var(--color-info)); outline-offset: -2px; }
`;
