// Controls what GraphiQL stores in the local storage of a browser: documents and variables, but no secrets.

/** Matches arguments and input fields that carry a secret, up to their colon, in a document or in JSON. */
export const SECRET_ARGUMENT = /(?<![A-Za-z0-9_])(?:\w*(?:password|secret|token|apikey)\w*|code)["\s,]*:/i;

/** A script for the browser: the storage for GraphiQL. It also removes secrets that earlier versions of this page stored. */
export const storageScript = (blankHeaders: string): string => `'use strict';
(function () {
  const prefix = 'graphiql:';
  const secretArgument = ${String(SECRET_ARGUMENT)};
  const carriesSecret = (operation) => secretArgument.test([operation.query, operation.variables].join('\\n'));
  const ownNames = () => Object.keys(localStorage).filter((name) => name.startsWith(prefix));

  // Reads both editors, because GraphiQL stores the document and the variables one after the other.
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
      for (const part of ['query', 'variables']) localStorage.removeItem(prefix + part);
    } else localStorage.setItem(name, value);
  }

  for (const name of ownNames()) {
    const value = localStorage.getItem(name);
    localStorage.removeItem(name);
    try {
      setItem(name, value);
    } catch (error) {
      console.warn('The stored item ' + name + ' is unreadable and was deleted.', error);
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
