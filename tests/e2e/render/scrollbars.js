// To Grafana's modules, whose names end in .mjs, the default export of this package of CommonJS is all that it exports.
import { Scrollbars } from './node_modules/react-custom-scrollbars-2/lib/index.js';
export default Scrollbars;
