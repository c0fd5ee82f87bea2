// What GraphiQL keeps in the local storage of a browser: documents and variables, and nothing that carries a secret.

/** Names of arguments and of fields of inputs that carry a secret, before their colon: in a document, or quoted in JSON. */
export const SECRET_ARGUMENT = /(?<![A-Za-z0-9_])(?:\w*(?:password|secret|token|apikey)\w*|code)["\s,]*:/i;

/** A script for the browser: the storage that GraphiQL is given. It clears what earlier versions of this page kept. */
export const storageScript = (blankHeaders: string): string => `'use strict';
(function () {
  const prefix = 'graphiql:';
  const secretArgument = ${String(SECRET_ARGUMENT)};
  const carriesSecret = (operation) => secretArgument.test([operation.query, operation.variables].join('\\n'));
  const ownNames = () => Object.keys(localStorage).filter((name) => name.startsWith(prefix));

  // What the editors show now: GraphiQL stores the document and the variables one after the other.
  function shown(selector) {
    const editor = document.querySelector(selector + ' .CodeMirror');
    return editor && editor.CodeMirror ? editor.CodeMirror.getValue() : '';
  }
  const shownOperation = () => ({ query: shown('.graphiql-query-editor'), variables: shown('section[aria-label="Variables"]') });

  function tabsToKeep(state) {
    const kept = state.tabs.filter((tab) => !carriesSecret(tab));
    const activeTabIndex = Math.max(kept.indexOf(state.tabs[state.activeTabIndex]), 0);
    return Object.assign({}, state, { tabs: kept.map((tab) => Object.assign({}, tab, { headers: null })), activeTabIndex: activeTabIndex });
  }
  const historyToKeep = (items) =>
    items.filter((item) => !carriesSecret(item)).map((item) => Object.assign({}, item, { headers: ${JSON.stringify(blankHeaders)} }));

  function setItem(name, value) {
    const item = name.slice(prefix.length);
    if (item === 'headers' || item === 'shouldPersistHeaders') return;
    if (item === 'tabState') {
      const state = tabsToKeep(JSON.parse(value));
      if (state.tabs.length > 0) localStorage.setItem(name, JSON.stringify(state));
      else localStorage.removeItem(name);
    } else if (item === 'queries' || item === 'favorites') {
      localStorage.setItem(name, JSON.stringify({ [item]: historyToKeep(JSON.parse(value)[item]) }));
    } else if ((item === 'query' || item === 'variables') && (secretArgument.test(value) || carriesSecret(shownOperation()))) {
      for (const one of ['query', 'variables']) localStorage.removeItem(prefix + one);
    } else localStorage.setItem(name, value);
  }

  for (const name of ownNames()) {
    const value = localStorage.getItem(name);
    localStorage.removeItem(name);
    try {
      setItem(name, value);
    } catch (error) {
      console.warn('What was kept as ' + name + ' cannot be read and is forgotten.', error);
    }
  }

  window.tollgateStorage = {
    getItem: (name) => localStorage.getItem(name),
    setItem: setItem,
    removeItem: (name) => localStorage.removeItem(name),
    clear: () => ownNames().forEach((name) => localStorage.removeItem(name)),
    get length() {
      return ownNames().length;
    },
  };
})();
`;
