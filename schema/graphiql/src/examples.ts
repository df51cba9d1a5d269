import adjustInventory from '../examples/adjust-inventory.graphql?raw';
import cheapestFirst from '../examples/cheapest-first.graphql?raw';
import latestOrders from '../examples/latest-orders.graphql?raw';
import myOrders from '../examples/my-orders.graphql?raw';
import pageByPage from '../examples/page-by-page.graphql?raw';
import productChanges from '../examples/product-changes.graphql?raw';
import storefront from '../examples/storefront.graphql?raw';

// ノートパソコン of the demo data.
const LAPTOP = 'UHJvZHVjdDowMThlYmQyNi03ZDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDE';

/** The tabs of a first visit, in order; later visits find their own tabs again. */
export const examples: { query: string; variables?: string }[] = [
  { query: storefront },
  { query: myOrders },
  { query: cheapestFirst },
  { query: latestOrders },
  { query: pageByPage, variables: '{\n  "first": 4\n}' },
  { query: productChanges },
  { query: adjustInventory, variables: `{\n  "productId": "${LAPTOP}",\n  "delta": 1\n}` },
];
