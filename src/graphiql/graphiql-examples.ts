import { MANUAL } from '../lib/manual';

/** A script for the browser: a GraphiQL plugin with the examples of README.md and docs/. A click opens one in the editors. */
export const examplesScript = (defaultOperation: string): string => `'use strict';
(function () {
  const examples = ${JSON.stringify(MANUAL.examples)};
  const h = React.createElement;
  const documents = ['', ${JSON.stringify(defaultOperation)}].concat(examples.map((example) => example.document));
  const ours = new Set(documents.map((text) => text.trim()));

  function Examples() {
    const { addTab, queryEditor, variableEditor } = GraphiQL.React.useEditorContext();
    // Replaces the document in the tab only if it is empty or an unchanged example. Otherwise opens a new tab.
    function open(example) {
      if (!ours.has(queryEditor.getValue().trim())) addTab();
      setTimeout(() => {
        queryEditor.setValue(example.document);
        variableEditor.setValue(example.variables);
        const variables = document.querySelector('.graphiql-editor-tools button[data-name="variables"]');
        if (example.variables && variables) variables.click();
        queryEditor.focus();
      }, 0);
    }
    const button = (example) =>
      h('button', { type: 'button', className: 'graphiql-un-styled', onClick: () => open(example) }, example.title);
    const sections = Array.from(new Set(examples.map((example) => example.section)));
    return h(
      'section',
      { className: 'examples', 'aria-label': 'Examples' },
      h('h2', null, 'Examples'),
      h('p', null, 'Choose an example. Under Variables, replace placeholders such as ws_... with your own ids. Then run it.'),
      h('p', null, 'The ', h('a', { href: 'docs/' }, 'manual'), ' explains every field.'),
      sections.map((section) =>
        h(
          React.Fragment,
          { key: section },
          h('h3', null, section),
          h(
            'ul',
            null,
            examples
              .filter((example) => example.section === section)
              .map((example) => h('li', { key: example.title }, button(example))),
          ),
        ),
      ),
    );
  }

  const drawing = { viewBox: '0 0 14 14', fill: 'none', stroke: 'currentColor', strokeWidth: 1.5, 'aria-hidden': true };
  const Icon = () => h('svg', drawing, h('path', { d: 'M1 2h3M1 7h3M1 12h3M6.5 2H13M6.5 7H13M6.5 12H13' }));
  window.tollgateExamples = { title: 'Examples', icon: Icon, content: Examples };
})();
`;

export const EXAMPLES_STYLE = `.examples h2 { margin: 0 0 .75rem; font-size: 1.5rem; }
.examples h3 { margin: 1.25rem 0 .25rem; font-size: 1rem; font-weight: 600; }
.examples p { margin: 0 0 .5rem; }
.examples ul { list-style: none; margin: 0; padding: 0; }
.examples button { width: 100%; padding: .375rem .5rem; border-radius: .25rem; text-align: left; }
.examples button:hover { background: hsla(var(--color-neutral), var(--alpha-background-light)); }
.examples a { color: hsl(var(--color-info)); text-decoration: underline; }
`;
